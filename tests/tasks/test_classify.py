import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgeresnet.core.errors import DeviceError, ModelError
from edgeresnet.core.frames import Frame
from edgeresnet.core.labels import Labels, numbered
from edgeresnet.core.preprocess import Preprocess
from edgeresnet.core.tensors import IMAGE, LOGITS
from edgeresnet.tasks import TASKS, make_task
from edgeresnet.tasks.classify import softmax
from edgeresnet.testing import grey

FRAME = Frame(grey(3, (30, 40)), 17, 0, "camera-0")
finite = st.floats(-1e4, 1e4, width=32)
logits = arrays(np.float32, st.integers(1, 30), elements=finite)


def classify(values, **options):
    values = np.asarray(values, np.float32)
    task = make_task("classify", Preprocess(), numbered(len(values)), **options)
    return task.prediction({LOGITS: values[None]}, FRAME).labels


@given(values=logits)
def test_softmax_gives_probabilities_in_the_order_of_the_logits(values):
    scores = softmax(values)
    assert scores.sum() == pytest.approx(1, abs=1e-4)
    assert (scores >= 0).all()
    assert scores[values.argmax()] == scores.max()


@given(values=logits, shift=st.floats(-1e3, 1e3, width=32))
def test_softmax_does_not_see_a_shift(values, shift):
    assert np.allclose(softmax(values), softmax(values + np.float32(shift)), atol=1e-2)


@given(values=logits, top=st.integers(1, 40))
def test_the_best_labels_come_best_first_and_none_twice(values, top):
    labels = classify(values, top=top)
    assert len(labels) == min(top, len(values))
    assert len({label.class_id for label in labels}) == len(labels)
    scores = [label.score for label in labels]
    assert scores == sorted(scores, reverse=True)
    others = np.delete(softmax(values), [label.class_id for label in labels])
    assert not len(others) or others.max() <= scores[-1]


@given(values=logits, threshold=st.floats(0, 1))
def test_labels_below_the_threshold_are_left_out_but_the_best_stays(values, threshold):
    labels = classify(values, top=50, threshold=threshold)
    assert labels[0].score == pytest.approx(softmax(values).max())
    assert all(label.score >= threshold for label in labels[1:])


def test_labels_carry_their_names():
    task = make_task("classify", Preprocess(), Labels(("cat", "dog", "fish")), top=2)
    found = task.prediction({LOGITS: np.array([[0, 5, 1]], np.float32)}, FRAME)
    assert [label.name for label in found.labels] == ["dog", "fish"]
    assert found.best.name == "dog"


def test_a_class_may_have_a_threshold_of_its_own():
    values = np.log([0.5, 0.3, 0.15, 0.05])
    options = {"threshold": 0.1, "of_classes": {"class 1": 0.4, "class 3": 0.01}}
    assert [label.class_id for label in classify(values, **options)] == [0, 2, 3]


def test_five_labels_are_given_where_nobody_says_how_many():
    assert len(classify(np.zeros(9))) == 5


def test_the_signature_is_the_logits_of_the_first_picture():
    task = make_task("classify", Preprocess(), numbered(3))
    found = task.signature({LOGITS: np.array([[1, 2, 3], [4, 5, 6]], np.float32)})
    assert found.tolist() == [1, 2, 3]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_an_error_that_names_the_frame(bad):
    with pytest.raises(DeviceError, match="not finite for frame 17 of camera-0"):
        classify([1, bad, 2])


def test_the_feeds_are_one_fitted_picture():
    task = make_task("classify", Preprocess(size=(8, 12), resize=16), numbered(3))
    feeds = task.feeds(FRAME)
    assert list(feeds) == [IMAGE]
    assert feeds[IMAGE].shape == (1, 8, 12, 3)
    assert feeds[IMAGE].dtype == np.uint8


def test_an_unknown_task_is_told_with_those_that_are_known():
    with pytest.raises(ModelError, match="no task 'segment'") as caught:
        make_task("segment", Preprocess(), numbered(3))
    assert all(name in caught.value.hint for name in TASKS)
