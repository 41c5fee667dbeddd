"""Scales in half precision bring the same numbers back, however small the weights are."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeresnet.backends.tensorrt.scales import activation_scale, weight_scale

SMALLEST, SMALLEST_NORMAL = 2.0**-24, 2.0**-14
ROUNDING = 2**-11  # of halves, relative


def singles(*values):
    return np.array(values, np.float32)


def channel(scale, *, ends=127):
    """INT8 weights of one output channel that reach ``ends``, and their scale."""
    integers = np.random.default_rng(3).integers(-ends, ends + 1, (1, 64), np.int8)
    integers[0, :2] = ends, -ends
    return integers, singles(scale)


def rms(values):
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))


@settings(max_examples=200, deadline=None)
@given(scale=st.floats(SMALLEST_NORMAL, 500, width=32))
def test_an_activation_scale_is_the_nearest_half(scale):
    found = activation_scale(singles(scale))
    assert found.dtype == np.float16
    assert abs(float(found[0]) / scale - 1) <= ROUNDING


def test_a_tensor_that_was_never_seen_gets_a_scale_whose_reciprocal_is_finite():
    found = activation_scale(singles(1e-8))
    assert np.isfinite(np.float16(1) / found).all()


@pytest.mark.parametrize("scale", [2e-7, 3e-5, 512.5, 1e30])
def test_an_activation_scale_that_half_precision_cannot_hold_is_an_error(scale):
    with pytest.raises(OverflowError, match=re.escape(f"{scale:.3g}")):
        activation_scale(singles(scale))


@settings(max_examples=200, deadline=None)
@given(scale=st.floats(SMALLEST_NORMAL, 500, width=32), ends=st.integers(1, 127))
def test_integers_stay_what_they_are_where_halves_are_fine(scale, ends):
    integers, scales = channel(scale, ends=ends)
    found, halves = weight_scale(integers, scales, 0)
    assert np.array_equal(found, integers)
    assert abs(float(halves[0]) / scale - 1) <= ROUNDING


@settings(max_examples=200, deadline=None)
@given(scale=st.floats(2 * SMALLEST, SMALLEST_NORMAL, width=32))
def test_a_small_channel_loses_less_than_a_bit(scale):
    integers, scales = channel(scale)
    found, halves = weight_scale(integers, scales, 0)
    lost = found * halves.astype(np.float64)[:, None] - integers * np.float64(scales[0])
    rounding = float(scales[0]) / np.sqrt(12)  # what INT8 itself loses
    assert rms(lost) <= 2 * rounding
    assert (halves > 0).all()


def test_integers_are_found_again_when_that_lowers_the_error():
    integers, scales = channel(1.4 * SMALLEST)
    found, halves = weight_scale(integers, scales, 0)
    exact = integers * np.float64(scales[0])
    assert rms(found * np.float64(halves[0]) - exact) < rms(
        integers * np.float64(np.float16(scales[0])) - exact
    )


def test_a_channel_of_zeros_has_a_scale_above_zero():
    found, halves = weight_scale(np.zeros((2, 3), np.int8), singles(1e-8, 0.1), 0)
    assert not found.any()
    assert (halves > 0).all()


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_each_channel_has_its_own_scale_on_the_axis_that_is_named(axis):
    integers = np.full((2, 2, 3), 127, np.int8)
    size = integers.shape[axis]
    scales = singles(*(0.1 * 2.0 ** (-6 * i) for i in range(size)))
    found, halves = weight_scale(integers, scales, axis)
    assert found.shape == integers.shape
    assert halves == pytest.approx(scales, rel=0.01)


def test_one_scale_for_all_weights_is_kept_as_one():
    found, halves = weight_scale(np.array([[1, -128]], np.int8), np.float32(3e-7), 0)
    assert halves.shape == ()
    assert found.shape == (1, 2)


def test_weights_beyond_half_precision_are_an_error():
    with pytest.raises(OverflowError, match="600"):
        weight_scale(*channel(600), 0)
