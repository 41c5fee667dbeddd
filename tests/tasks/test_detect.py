"""Boxes of the fitted picture become boxes of the frame; what is no box is an error."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeresnet.core.errors import DeviceError, UsageError
from edgeresnet.core.frames import Frame
from edgeresnet.core.labels import Labels, numbered
from edgeresnet.core.preprocess import Crop, Preprocess, placed
from edgeresnet.core.tensors import BOXES, CLASS_IDS, IMAGE, SCORES
from edgeresnet.tasks import make_task
from edgeresnet.testing import grey

LETTERBOX = Preprocess(size=(64, 96), crop=Crop.LETTERBOX)
LABELS = Labels(("car", "person", "dog"))
FRAME = Frame(grey(3, (300, 400)), 17, 0, "camera-0")


def outputs(*found):
    """Of boxes as (xyxy, score, class)."""
    return {
        BOXES: np.array([box for box, _, _ in found], np.float32).reshape(1, -1, 4),
        SCORES: np.array([[score for _, score, _ in found]], np.float32),
        CLASS_IDS: np.array([[kind for _, _, kind in found]], np.int32),
    }


def detect(*found, frame=FRAME, **options):
    return make_task("detect", LETTERBOX, LABELS, **options).prediction(outputs(*found), frame)


def apart(count, score=0.9):
    """So many boxes side by side."""
    return [((5 * i, 0, 5 * i + 4, 9), score - i / 100, 1) for i in range(count)]


@given(
    height=st.integers(20, 900),
    width=st.integers(20, 900),
    share=st.tuples(*[st.floats(0.05, 0.45)] * 2, *[st.floats(0.55, 0.95)] * 2),
)
def test_a_box_lies_in_the_frame_where_it_lay_in_the_fitted_picture(height, width, share):
    box = np.array([share], np.float32) * np.array((width, height) * 2, np.float32)
    fitted = placed(height, width, LETTERBOX).fitted(box)
    found = detect((fitted[0], 0.9, 0), frame=Frame(grey(3, (height, width)), 0, 0))
    assert np.allclose(found.xyxy, box, atol=1e-2)


def test_boxes_of_a_region_lie_in_the_whole_frame_and_do_not_leave_the_region():
    frame = Frame(grey(3, (300, 400)), 0, 0, region=(100, 50, 96, 64))  # fitted as it is
    found = detect(((10, 20, 30, 40), 0.9, 0), ((-9, 50, 200, 200), 0.8, 1), frame=frame)
    assert found.xyxy.tolist() == [[110, 70, 130, 90], [100, 100, 196, 114]]


def test_what_lies_only_in_the_filled_part_is_no_box():
    frame = Frame(grey(3, (32, 96)), 0, 0)
    found = detect(((10, 40, 30, 60), 0.9, 0), ((10, 20, 30, 60), 0.8, 1), frame=frame)
    assert found.xyxy.tolist() == [[10, 20, 30, 32]]


def test_the_best_come_first_with_their_names_and_without_a_track():
    found = detect(((0, 0, 9, 9), 0.5, 2), ((20, 0, 30, 9), 0.75, 1))
    assert found.names == ("person", "dog")
    assert found.scores.tolist() == [0.75, 0.5]
    assert found.class_ids.tolist() == [1, 2]
    assert (found.track_ids == -1).all()


def test_one_thing_has_one_box_of_each_class():
    same = [((10, 10, 30, 30), 0.9, 0), ((11, 10, 31, 30), 0.8, 0), ((11, 10, 31, 30), 0.7, 1)]
    assert detect(*same).scores.tolist() == pytest.approx([0.9, 0.7])


def test_faint_boxes_are_left_out_below_the_threshold_of_their_class():
    found = [((0, 0, 9, 9), 0.6, 0), ((20, 0, 30, 9), 0.45, 1), ((40, 0, 50, 9), 0.31, 2)]
    found.append(((60, 0, 70, 9), 0.29, 0))
    assert len(detect(*found)) == 3  # at 0.3 where nobody says otherwise
    assert len(detect(*found, threshold=0.0)) == 4
    assert detect(*found, threshold=0.5).names == ("car",)
    only = {"person": 0.4, "car": 0.7}
    assert detect(*found, of_classes=only).names == ("person", "dog")
    assert detect(*found, threshold=0.5, of_classes=only).names == ("person",)


def test_a_threshold_of_a_class_that_is_not_there_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match="no class 'persn'") as caught:
        make_task("detect", LETTERBOX, LABELS, of_classes={"persn": 0.4})
    assert "'person'" in caught.value.hint


def test_no_more_boxes_than_asked_for_and_never_more_than_300():
    assert len(detect(*apart(15), top=4)) == 4
    many = [((x, y, x + 1, y + 1), 0.9, 0) for x in range(0, 80, 2) for y in range(0, 60, 2)]
    assert len(detect(*many)) == 300
    assert len(detect(*many, top=1000)) == 300


def test_nothing_found_is_no_box():
    assert len(detect()) == 0
    assert detect().xyxy.shape == (0, 4)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("name", [BOXES, SCORES])
def test_values_that_are_not_finite_are_an_error_that_names_the_frame(name, bad):
    task, found = make_task("detect", LETTERBOX, LABELS), outputs(*apart(3))
    found[name][0, 1] = bad
    with pytest.raises(DeviceError, match="not finite for frame 17 of camera-0"):
        task.prediction(found, FRAME)
    assert np.isnan(task.signature(found)).all()


@pytest.mark.parametrize("kind", [-1, 3])
def test_a_class_without_a_name_is_an_error(kind):
    with pytest.raises(DeviceError, match="no name for frame 17"):
        detect(((0, 0, 9, 9), 0.9, kind))


def test_the_feeds_are_one_letterboxed_picture():
    feeds = make_task("detect", LETTERBOX, LABELS).feeds(FRAME)
    assert list(feeds) == [IMAGE]
    assert feeds[IMAGE].shape == (1, 64, 96, 3)
    assert (feeds[IMAGE][0, :, 85:] == LETTERBOX.fill()).all()  # 400 x 300 becomes 85 x 64
    assert (feeds[IMAGE][0, :, :85] == 3).all()


def difference(one, other):
    task = make_task("detect", LETTERBOX, LABELS)
    one, other = task.signature(outputs(*one)), task.signature(outputs(*other))
    assert one.shape == other.shape
    assert one.dtype == np.float32
    return np.linalg.norm(one - other) / np.linalg.norm(one)


def test_a_signature_does_not_see_the_order_of_equals_nor_a_small_shift():
    found = [((10, 10, 30, 30), 0.9, 0), ((50, 20, 70, 60), 0.9, 1), ((5, 40, 15, 60), 0.2, 2)]
    assert difference(found, found[::-1]) < 1e-6
    moved = [(np.add(box, 0.05), score + 1e-3, kind) for box, score, kind in found]
    assert difference(found, moved) < 0.01


@pytest.mark.parametrize(
    "other",
    [
        ((60, 10, 80, 30), 0.9, 0),
        ((10, 40, 30, 60), 0.9, 0),
        ((10, 10, 30, 30), 0.6, 0),
        ((10, 10, 30, 30), 0.9, 1),
        ((0, 0, 60, 60), 0.9, 0),
        ((0, 15, 40, 25), 0.9, 0),  # in the same place, as large, of another shape
    ],
)
def test_a_signature_sees_another_place_score_class_size_or_shape(other):
    assert difference([((10, 10, 30, 30), 0.9, 0)], [other]) > 0.2


def test_a_signature_of_no_boxes_is_as_long_as_any():
    task = make_task("detect", LETTERBOX, numbered(5))
    assert task.signature(outputs()).shape == task.signature(outputs(*apart(3))).shape
