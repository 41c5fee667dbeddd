import threading
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeresnet.core.boxes import iou_matrix
from edgeresnet.core.predictions import Classification, Detections, Embedding, Label
from edgeresnet.sinks import draw
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


@pytest.mark.parametrize(
    "other", [(100, 100, 300, 200), (104, 96, 300, 200), (60, 110, 320, 210), (0, 0, 639, 479)]
)
def test_no_tag_hides_another(other):
    for box in ((100, 100, 300, 200), (0, 0, 639, 479), (600, 0, 639, 20), (0, 460, 639, 479)):
        tags = draw._tags(np.zeros((480, 640, 3)), boxes(box, other), 16)
        one, two = (tag.sides[None].astype(np.float32) for tag in tags)
        assert iou_matrix(one, two) == 0
        for left, top, right, bottom in (one[0], two[0]):
            assert 0 <= left < right <= 640
            assert 0 <= top < bottom <= 480


def test_tags_of_tracked_things_stay_where_they_are_when_another_is_surer():
    pixels, both = np.zeros((480, 640, 3), np.uint8), boxes((9, 99, 300, 200), (9, 90, 300, 200))
    both = replace(both, track_ids=np.array([7, 3]))
    tags = [
        draw._tags(pixels, replace(both, scores=np.float32(scores)), 16)
        for scores in ((0.9, 0.8), (0.8, 0.9))
    ]
    assert [tag.text for tag in tags[0]] == ["thing 1 #3 80%", "thing 0 #7 90%"]
    for before, after in zip(*tags, strict=True):
        np.testing.assert_array_equal(before.sides, after.sides)


def test_what_is_written_on_boxes_has_the_contrast_that_reading_takes():
    """WCAG's 4.5 to 1."""
    many = boxes(*[(100, 100, 300, 200)] * len(draw._PALETTE))
    tags = draw._tags(np.zeros((480, 640, 3)), many, 16)
    assert {tag.colour for tag in tags} == set(draw._PALETTE)
    for tag in tags:
        dark, light = sorted(luminance(colour) for colour in (tag.colour, tag.pen.colour))
        assert (light + 0.05) / (dark + 0.05) >= 4.5, tag.colour


def luminance(colour):
    """WCAG's relative luminance of blue, green and red."""
    share = np.asarray(colour) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.0722, 0.7152, 0.2126))


def test_text_may_be_larger_or_left_out():
    pixels = np.full((480, 640, 3), 120, np.uint8)
    found = boxes((100, 100, 300, 200), names=("cat",))
    tops = [changed(pixels, annotate(pixels, found, text=text))[0] for text in (0, 1, 1.6)]
    assert tops[0] == pytest.approx(100, abs=4)
    assert tops[1] == pytest.approx(100 - 24, abs=4)
    assert tops[2] == pytest.approx(100 - 39, abs=4)


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
