import numpy as np
import pytest

from edgeresnet.core.errors import DeviceError, UsageError
from edgeresnet.core.frames import Frame
from edgeresnet.core.labels import numbered
from edgeresnet.core.preprocess import Preprocess
from edgeresnet.core.tensors import EMBEDDING, IMAGE
from edgeresnet.tasks import make_follower, make_task
from edgeresnet.testing import grey

FRAME = Frame(grey(3, (30, 40)), 17, 0, "camera-0")
TASK = make_task("embed", Preprocess(size=(8, 12), resize=16), numbered(3))


def test_the_vector_is_what_the_network_says_and_the_callers_own():
    outputs = {EMBEDDING: np.array([[0.5, -2, 7]], np.float32)}
    found = TASK.prediction(outputs, FRAME)
    assert np.array_equal(TASK.signature(outputs), found.vector)
    outputs[EMBEDDING][:] = 0  # the session's next run
    assert found.vector.tolist() == [0.5, -2, 7]


def test_the_feeds_are_one_fitted_picture():
    feeds = TASK.feeds(FRAME)
    assert list(feeds) == [IMAGE]
    assert feeds[IMAGE].shape == (1, 8, 12, 3)


def test_values_that_are_not_finite_are_an_error_that_names_the_frame():
    with pytest.raises(DeviceError, match="not finite for frame 17 of camera-0"):
        TASK.prediction({EMBEDDING: np.array([[0, np.nan]], np.float32)}, FRAME)


@pytest.mark.parametrize("options", [{"threshold": 0.5}, {"of_classes": {"cat": 0.5}}])
def test_thresholds_are_refused(options):
    with pytest.raises(UsageError, match="no score"):
        make_task("embed", Preprocess(), numbered(3), **options)


@pytest.mark.parametrize("task", ["embed", "classify"])
def test_there_is_nothing_to_track(task):
    with pytest.raises(UsageError, match=f"task {task!r} finds nothing that could be tracked"):
        make_follower(task, numbered(3))
