import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeresnet.tasks.motion import Motion

BOX = np.array([[100, 50, 140, 130]], np.float32)
MEASURED = 0.05
"""The error that is expected of a detector, in box sizes."""


def reference(measured, seconds, size):
    """The textbook filter of one coordinate, in matrices; size fixed."""
    state = np.array([measured[0], 0.0])
    spread = np.diag([(MEASURED * size) ** 2, size**2])
    step = np.array([[1, seconds], [0, 1]])
    noise = size**2 * np.array([[seconds**3 / 3, seconds**2 / 2], [seconds**2 / 2, seconds]])
    look = np.array([[1.0, 0.0]])
    for value in measured[1:]:
        state, spread = step @ state, step @ spread @ step.T + noise
        gain = spread @ look.T / (look @ spread @ look.T + (MEASURED * size) ** 2)
        state = state + (gain * (value - look @ state)).ravel()
        spread = (np.eye(2) - gain @ look) @ spread
    return state, spread


@given(
    steps=st.lists(st.floats(-30, 30), min_size=1, max_size=12),
    seconds=st.floats(0.01, 1.0),
)
def test_it_is_the_filter_of_the_textbook(steps, seconds):
    size, motion = 40.0, Motion.of(np.array([[0, 0, 40, 40]], np.float32))
    for x in steps:
        motion = motion.after(seconds).seen(np.array([[x, 0, x + 40, 40]], np.float32))
    state, spread = reference([20.0, *(x + 20 for x in np.float32(steps))], seconds, size)
    assert motion.place[0, 0] == pytest.approx(state[0], abs=1e-3)
    assert motion.speed[0, 0] == pytest.approx(state[1], abs=1e-3)
    assert motion.place_variance[0, 0] == pytest.approx(spread[0, 0], rel=1e-6)
    assert motion.covariance[0, 0] == pytest.approx(spread[0, 1], rel=1e-6)
    assert motion.speed_variance[0, 0] == pytest.approx(spread[1, 1], rel=1e-6)


def test_what_moved_evenly_is_expected_further_on():
    motion = Motion.of(BOX)
    for n in range(1, 40):
        motion = motion.after(0.04).seen(BOX + np.float32(2 * n))
    expected = motion.after(0.4).boxes()  # ten frames later
    assert np.abs(expected - (BOX + 2 * (39 + 10))).max() < 1.0


def test_several_are_filtered_as_each_alone():
    rng = np.random.default_rng(4)
    boxes = BOX + rng.uniform(0, 300, (5, 1)).astype(np.float32)
    later = boxes + rng.normal(0, 5, (5, 4)).astype(np.float32)
    together = Motion.of(boxes).after(0.1).seen(later).after(0.2).boxes()
    for i in range(5):
        alone = Motion.of(boxes[[i]]).after(0.1).seen(later[[i]]).after(0.2).boxes()
        assert np.allclose(alone, together[[i]])


def test_a_box_that_would_shrink_to_nothing_keeps_a_size():
    motion = Motion.of(BOX).after(0.1).seen(BOX + np.float32([20, 40, -20, -40]) * 0.9)
    boxes = motion.after(60.0).boxes()
    assert (boxes[:, 2:] > boxes[:, :2]).all()
    assert np.isfinite(motion.after(60.0).seen(BOX).boxes()).all()
