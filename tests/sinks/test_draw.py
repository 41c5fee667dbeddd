import threading
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeresnet.core.predictions import Classification, Detections, Embedding, Label
from edgeresnet.sinks.draw import annotate

CATS = Classification(tuple(Label(i, f"cat number {i}", 0.9 / 3**i) for i in range(8)))
SIZES = [(224, 224), (480, 640), (1080, 1920), (640, 360)]


def boxes(*xyxy, names=None):
    n = len(xyxy)
    return Detections(
        np.array(xyxy, np.float32).reshape(n, 4),
        np.linspace(0.9, 0.5, n, dtype=np.float32),
        np.arange(n),
        names or tuple(f"thing {i}" for i in range(n)),
    )


def changed(before, after):
    """Rows and columns, first and last, that differ."""
    rows, columns = np.nonzero((before != after).any(axis=2))
    return rows.min(), rows.max(), columns.min(), columns.max()


@pytest.mark.parametrize("size", SIZES)
def test_labels_are_drawn_in_the_lower_left_and_the_frame_is_left_alone(size):
    pixels = np.full((*size, 3), 120, np.uint8)
    drawn = annotate(pixels, CATS)
    assert pixels.min() == pixels.max() == 120
    top, bottom, left, right = changed(pixels, drawn)
    assert top > size[0] * 0.3
    assert bottom < size[0] - 3
    assert left > 3
    assert right < size[1] - 3


def test_a_surer_label_has_a_longer_bar():
    pixels = np.full((480, 640, 3), 120, np.uint8)
    accent = [
        (annotate(pixels, Classification((Label(0, "x", score),))) == (168, 214, 64)).all(2).sum()
        for score in (0.1, 0.5, 1.0)
    ]
    assert accent[0] < accent[1] < accent[2]


def test_another_name_gives_another_picture_and_the_same_gives_the_same():
    pixels = np.zeros((240, 320, 3), np.uint8)
    one, two = (annotate(pixels, Classification((Label(0, name, 0.5),))) for name in ("cat", "dog"))
    assert not np.array_equal(one, two)
    np.testing.assert_array_equal(one, annotate(pixels, Classification((Label(9, "cat", 0.5),))))


@pytest.mark.parametrize("size", SIZES)
def test_boxes_are_drawn_where_they_are(size):
    pixels = np.full((*size, 3), 120, np.uint8)
    height, width = size
    box = (0.3 * width, 0.4 * height, 0.6 * width, 0.8 * height)
    _, bottom, left, right = changed(pixels, annotate(pixels, boxes(box, names=("x",))))
    for found, wanted in ((left, box[0]), (right, box[2]), (bottom, box[3])):
        assert abs(found - wanted) <= max(4, size[0] // 100)


def test_boxes_of_other_classes_have_other_colours():
    pixels = np.zeros((200, 300, 3), np.uint8)
    drawn = annotate(pixels, boxes((20, 60, 100, 180), (160, 60, 280, 180)))
    assert drawn[120, 20].tolist() != drawn[120, 160].tolist()


def test_nothing_detected_is_a_copy():
    pixels = np.full((20, 30, 3), 7, np.uint8)
    drawn = annotate(pixels, boxes())
    np.testing.assert_array_equal(drawn, pixels)
    assert not np.shares_memory(drawn, pixels)


@pytest.mark.parametrize("size", [(1, 1), (4, 8), (30, 30), (10, 2000), (2000, 10), (64, 64)])
def test_pictures_of_any_shape_are_taken(size):
    pixels = np.zeros((*size, 3), np.uint8)
    for prediction in (CATS, boxes((0, 0, size[1], size[0]))):
        assert annotate(pixels, prediction).shape == pixels.shape


def test_a_tracked_box_carries_its_number():
    pixels, found = np.zeros((240, 320, 3), np.uint8), boxes((20, 60, 200, 180), names=("cat",))
    drawn = [annotate(pixels, replace(found, track_ids=np.array([n]))) for n in (-1, 1, 2)]
    np.testing.assert_array_equal(drawn[0], annotate(pixels, found))
    assert not np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[1], drawn[2])
    top, bottom, _, _ = changed(drawn[1], drawn[2])
    assert bottom <= 62  # in the tag, above the box
    assert top > 0


def test_of_an_embedding_there_is_nothing_to_see():
    pixels = np.full((240, 320, 3), 9, np.uint8)
    drawn = annotate(pixels, Embedding(np.ones(4, np.float32)))
    np.testing.assert_array_equal(drawn, pixels)


def test_boxes_far_outside_or_not_finite_do_no_harm():
    nan, inf = float("nan"), float("inf")
    annotate(
        np.zeros((50, 60, 3), np.uint8),
        boxes((-1e30, -5, 1e30, inf), (nan, nan, nan, nan), (50, 40, 10, 5), (100, 100, 200, 200)),
    )


@settings(max_examples=30, deadline=None)
@given(name=st.text(max_size=60), score=st.floats(0, 1))
def test_names_in_any_script_are_drawn(name, score):
    pixels = np.zeros((224, 224, 3), np.uint8)
    annotate(pixels, Classification((Label(0, name, score),)))
    annotate(pixels, boxes((10, 50, 60, 100), names=(name,)))


def test_two_threads_draw_what_one_draws():
    pixels = np.full((240, 320, 3), 90, np.uint8)
    expected, wrong = annotate(pixels, CATS), []

    def draw():
        wrong.extend(not np.array_equal(annotate(pixels, CATS), expected) for _ in range(50))

    threads = [threading.Thread(target=draw) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not any(wrong)
