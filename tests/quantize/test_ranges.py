"""Scales and zero points hold what was seen, and zero exactly."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from edgeresnet.core.recipe import Method, Recipe
from edgeresnet.core.target import Scheme
from edgeresnet.quantize.placement import Placement
from edgeresnet.quantize.ranges import choose_range, choose_ranges, quantize_weight
from edgeresnet.quantize.statistics import TensorStatistics

U8, S8 = Scheme.U8_AFFINE, Scheme.S8_SYMMETRIC
SMALLEST = 1e-5
"""Below this everything is zero to INT8: the smallest scale is 1e-8."""

finite = st.floats(-1e4, 1e4, width=32)
values = st.integers(1, 200).flatmap(lambda n: arrays(np.float32, n, elements=finite))
schemes = st.sampled_from([U8, S8])
recipes = st.builds(
    lambda method, percentile: Recipe(
        name="r", description="", method=method, percentile=percentile
    ),
    st.sampled_from(Method),
    st.floats(90, 100),
)
MINMAX = Recipe(name="r", description="")


def seen(array):
    found = TensorStatistics()
    found.add(array)
    return found


def limits(found):
    return (-128, 127) if found.signed else (0, 255)


def there_and_back(array, found):
    low, high = limits(found)
    integers = np.clip(np.rint(array / found.scale) + found.zero_point, low, high)
    return (integers - found.zero_point) * found.scale


@given(array=values, recipe=recipes, scheme=schemes)
def test_zero_is_always_represented_exactly(array, recipe, scheme):
    """Padding writes zeros, and a ReLU's zeros are most of what there is."""
    found = choose_range(seen(array), recipe, scheme)
    low, high = limits(found)
    assert low <= found.zero_point <= high
    assert found.scale > 0
    assert np.isfinite(found.scale)
    assert there_and_back(np.zeros(1), found)[0] == 0
    assert np.float32(found.scale) > 0  # as the graph will hold it


@given(array=values, scheme=schemes)
def test_minmax_brings_every_value_back_within_a_step(array, scheme):
    found = choose_range(seen(array), MINMAX, scheme)
    apart = np.abs(there_and_back(array.astype(np.float64), found) - array)
    assert apart.max() <= found.scale * 1.001  # half a step, and half for the zero point


@given(array=values)
def test_symmetric_is_signed_around_zero_and_affine_is_not(array):
    symmetric, affine = (choose_range(seen(array), MINMAX, s) for s in (S8, U8))
    assert (symmetric.signed, symmetric.zero_point) == (True, 0)
    assert not affine.signed
    if array.min() >= 0:
        assert affine.zero_point == 0  # after a ReLU all 256 steps are used
        assert affine.scale <= symmetric.scale
    if array.max() <= 0 and array.min() < -SMALLEST:
        assert affine.zero_point == 255


@given(array=values, recipe=recipes, scheme=schemes)
def test_a_percentile_never_widens_the_range(array, recipe, scheme):
    assert (
        choose_range(seen(array), recipe, scheme).scale
        <= choose_range(seen(array), MINMAX, scheme).scale * 1.001
    )


def test_a_percentile_cuts_what_is_rare():
    array = np.concatenate([np.linspace(0, 1, 100_000), [1000.0] * 7]).astype(np.float32)
    array = array[np.random.default_rng(1).permutation(len(array))]
    cut = Recipe(name="r", description="", method=Method.PERCENTILE, percentile=99.9)
    for scheme, steps in ((U8, 255), (S8, 127)):
        assert choose_range(seen(array), MINMAX, scheme).scale == pytest.approx(1000 / steps)
        assert choose_range(seen(array), cut, scheme).scale * steps < 3  # a bin is 1 wide here


def test_a_tensor_that_is_always_zero_gets_some_range():
    for scheme in (U8, S8):
        found = choose_range(seen(np.zeros(50, np.float32)), MINMAX, scheme)
        assert found.scale > 0
        assert found.zero_point == 0


def test_tensors_that_only_move_values_share_the_range_of_their_origin():
    placement = Placement(frozenset({("a", "n"), ("c", "m")}), frozenset(), {"b": "a"})
    statistics = {"a": seen(np.array([0.0, 5.0])), "c": seen(np.array([-1.0, 1.0]))}
    ranges = choose_ranges(statistics, placement, MINMAX, U8)
    assert ranges["b"] == ranges["a"] != ranges["c"]
    assert set(ranges) == {"a", "b", "c"}


weights = array_shapes(min_dims=2, max_dims=4, max_side=5).flatmap(
    lambda shape: arrays(np.float32, shape, elements=st.floats(-100, 100, width=32))
)


@given(weight=weights)
def test_weights_come_back_within_half_a_step_of_their_channel(weight):
    quantized, scale = quantize_weight(weight, None, 1.0)
    assert quantized.dtype == np.int8
    assert quantized.shape == weight.shape
    assert quantized.min() >= -127  # -128 would not be symmetric
    assert scale.shape == weight.shape[:1]
    steps = scale.astype(np.float64).reshape(-1, *[1] * (weight.ndim - 1))
    assert (np.abs(quantized * steps - weight) <= steps * 0.5001).all()


@given(weight=weights)
def test_the_largest_weight_of_a_channel_uses_the_whole_range(weight):
    quantized, _ = quantize_weight(weight, None, 1.0)
    flat = np.abs(weight.reshape(len(weight), -1)).max(1)
    largest = np.abs(quantized.reshape(len(weight), -1).astype(int)).max(1)
    assert (largest[flat > SMALLEST] == 127).all()
    assert (largest[flat == 0] == 0).all()


def test_channels_do_not_disturb_each_other(rng):
    weight = rng.normal(size=(4, 3, 3, 3)).astype(np.float32)
    quantized, scale = quantize_weight(weight, None, 1.0)
    louder = weight * np.array([1, 1000, 1, 1e-3], np.float32).reshape(-1, 1, 1, 1)
    other, its_scale = quantize_weight(louder, None, 1.0)
    np.testing.assert_array_equal(other[[0, 2]], quantized[[0, 2]])
    np.testing.assert_allclose(its_scale / scale, [1, 1000, 1, 1e-3], rtol=1e-5)


@given(
    weight=arrays(np.float32, (3, 2), elements=st.floats(-1, 1, width=32)),
    bias=arrays(np.float32, 3, elements=st.floats(-1e6, 1e6, width=32)),
    input_scale=st.floats(1e-8, 1.0),
)
def test_a_bias_in_units_of_both_scales_always_fits_into_int32(weight, bias, input_scale):
    _, scale = quantize_weight(weight, bias, input_scale)
    unit = (np.float32(input_scale) * scale).astype(np.float32)
    integers = np.rint(bias.astype(np.float64) / unit)
    assert np.abs(integers).max() < 2**31
    assert (np.abs(integers * unit - bias) <= unit).all()
