import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgeresnet.core.target import Scheme
from edgeresnet.core.tensors import IMAGE, LOGITS
from edgeresnet.flow.golden import TOLERANCE, batch_feeds, golden_error, relative_error
from edgeresnet.testing import grey

logits = arrays(np.float32, 10, elements=st.floats(-30, 30, width=32)).filter(
    lambda values: np.ptp(values) > 0.5  # all alike has no direction to compare
)


@given(logits=logits)
def test_the_same_logits_are_at_distance_zero_and_their_opposite_at_two(logits):
    assert relative_error(logits, logits) == 0
    assert relative_error(-logits, logits) == pytest.approx(2)


@given(logits=logits, shift=st.floats(-50, 50))
def test_a_shift_of_all_logits_is_no_error_since_softmax_does_not_see_it(logits, shift):
    assert relative_error(logits + np.float32(shift), logits) < 1e-4


@given(logits=logits, factor=st.floats(0, 3))
def test_the_error_is_the_share_that_is_wrong(logits, factor):
    scaled = (logits.astype(np.float64) * factor).astype(np.float32)
    assert relative_error(scaled, logits) == pytest.approx(abs(factor - 1), abs=1e-4)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_infinitely_wrong(bad):
    good = np.arange(5, dtype=np.float32)
    broken = good.copy()
    broken[2] = bad
    assert relative_error(broken, good) == float("inf")


@given(logits=logits)
def test_another_class_on_top_is_beyond_every_tolerance(logits):
    swapped = logits.copy()
    top, low = int(logits.argmax()), int(logits.argmin())
    swapped[[top, low]] = logits[[low, top]]
    assert relative_error(swapped, logits) > max(TOLERANCE.values())


def test_the_worst_place_of_a_batch_counts():
    expected = np.array([[1, 2, 4], [3, 0, 1]], np.float32)
    pictures = np.stack([grey(0), grey(1)])

    def answer(signs):
        def infer(feeds):
            row = expected[int(feeds[IMAGE][0, 0, 0, 0])]
            return {LOGITS: np.stack([sign * row for sign in signs])}

        return infer

    def first(outputs):
        return outputs[LOGITS][0]

    assert golden_error(answer((1, 1)), first, pictures, expected, 2) == 0
    assert golden_error(answer((1, -1)), first, pictures, expected, 2) == pytest.approx(2)


def test_a_picture_on_the_boundary_of_two_classes_does_not_decide():
    expected = np.array([[4.0, -4.0], [0.01, -0.01], [-3.0, 3.0]], np.float32)
    assert relative_error(expected + np.float32([[0.1, -0.1]]), expected) < 0.05


def test_a_picture_is_repeated_for_the_batch():
    (pictures,) = batch_feeds(grey(7), 3).values()
    assert pictures.shape == (3, 6, 8, 3)
    assert (pictures == 7).all()


def test_every_scheme_has_a_tolerance():
    assert set(TOLERANCE) == set(Scheme)
