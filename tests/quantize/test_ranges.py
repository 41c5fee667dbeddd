"""Scales and zero points hold what was seen, and zero exactly."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from edgeresnet.core.recipe import Method, Recipe
from edgeresnet.core.target import Scheme
from edgeresnet.quantize.placement import Placement
from edgeresnet.quantize.ranges import (
    Range,
    choose_range,
    choose_ranges,
    clipped,
    cover,
    quantize_weight,
)
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


def recipe_by(method, **changes):
    return Recipe(name="r", description="", method=method, **changes)


MINMAX, MSE, ENTROPY = (recipe_by(m) for m in (Method.MINMAX, Method.MSE, Method.ENTROPY))


def seen(array):
    """One picture of one channel."""
    return TensorStatistics.of(np.asarray(array, np.float32).reshape(1, 1, -1))


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
def test_no_method_widens_the_range(array, recipe, scheme):
    assert (
        choose_range(seen(array), recipe, scheme).scale
        <= choose_range(seen(array), MINMAX, scheme).scale * 1.001
    )


def test_a_percentile_cuts_what_is_rare():
    array = np.concatenate([np.linspace(0, 1, 30_000), [1000.0] * 7])
    cut = recipe_by(Method.PERCENTILE, percentile=99.9)
    for scheme, steps in ((U8, 255), (S8, 127)):
        assert choose_range(seen(array), MINMAX, scheme).scale == pytest.approx(1000 / steps)
        assert choose_range(seen(array), cut, scheme).scale * steps < 3  # a bin is 1 wide here


DRAWN = np.random.default_rng(4)
MANY = 30_000
DRAWS = {
    "gaussian": DRAWN.normal(size=MANY),
    "laplace": DRAWN.laplace(size=MANY),
    "gaussian, one-sided": np.abs(DRAWN.normal(size=MANY)),
    "laplace, one-sided": np.abs(DRAWN.laplace(size=MANY)),
    "laplace, shifted": DRAWN.laplace(size=MANY) + 2,
}
draws = pytest.mark.parametrize("array", DRAWS.values(), ids=DRAWS)


def lost(array, found, power):
    return float((np.abs(there_and_back(array, found) - array) ** power).mean())


def least_by_trying(array, scheme, power):
    """The least error of ranges from a tenth to all of what was seen, on the values themselves."""
    low, high = min(array.min(), 0), max(array.max(), 0)
    tried = (cover(low * share, high * share, scheme) for share in np.linspace(0.1, 1, 181))
    return min(lost(array, found, power) for found in tried)


@draws
@pytest.mark.parametrize("scheme", [U8, S8])
@pytest.mark.parametrize("power", [2.0, 2.4, 4.0])
def test_the_least_error_is_that_found_by_trying_on_the_values(array, scheme, power):
    """Within 5 %: the histogram has bins, and takes rounding errors as uniform."""
    recipe = MSE if power == 2.0 else recipe_by(Method.LP, power=power)
    found = choose_range(seen(array), recipe, scheme)
    assert lost(array, found, power) <= 1.05 * least_by_trying(array, scheme, power)


def test_the_clip_of_least_squared_error_is_the_known_one():
    """Banner et al. 2019 (ACIQ), 8 bits: 9.89 b for Laplace's scale b, 3.92 sigma for Gauss."""
    many = np.random.default_rng(2)
    for draw, clip in ((many.laplace, 9.89), (many.normal, 3.92)):
        found = TensorStatistics.of(draw(size=(1, 1, 1_000_000)).astype(np.float32))
        chosen = choose_range(found, MSE, S8)
        assert chosen.bounds[1] == pytest.approx(clip, rel=0.06)  # the optimum is flat


@draws
def test_a_higher_power_clips_less(array):
    powers = (1.0, 2.0, 2.4, 4.0, 10.0)
    scales = [
        choose_range(seen(array), recipe_by(Method.LP, power=power), S8).scale for power in powers
    ]
    assert scales == sorted(scales)
    assert scales[0] < 0.9 * scales[-1]
    squared = choose_range(seen(array), MSE, S8)
    assert squared == choose_range(seen(array), recipe_by(Method.LP, power=2.0), S8)


def test_auto_starts_from_lp(rng):
    found = seen(rng.laplace(size=5000))
    lp, auto = (recipe_by(method, power=3.0) for method in (Method.LP, Method.AUTO))
    assert choose_range(found, auto, U8) == choose_range(found, lp, U8)


@draws
@pytest.mark.parametrize("scheme", [U8, S8])
def test_entropy_cuts_a_far_outlier_and_little_else(array, scheme):
    """No level is narrower than a bin: 255 of 2048, over a reach of twice the outlier at most."""
    outlier = 20 * np.abs(array).max()
    found = choose_range(seen(np.append(array, outlier)), ENTROPY, scheme)
    assert found.bounds[1] <= 255 / 2048 * 2 * outlier
    assert found.bounds[1] > np.quantile(array, 0.99)


def test_entropy_keeps_values_that_are_spread_evenly(rng):
    array = rng.uniform(-1, 1, MANY)
    for scheme in (U8, S8):
        found = choose_range(seen(array), ENTROPY, scheme)
        assert found.scale == pytest.approx(choose_range(seen(array), MINMAX, scheme).scale, 0.05)


def test_a_method_named_for_one_tensor_goes_before_the_recipes(rng):
    found = {name: seen(rng.laplace(size=5000)) for name in "ab"}
    placement = Placement(frozenset({("a", "n"), ("b", "m")}), frozenset(), {})
    ranges = choose_ranges(found, placement, MSE, U8, {"a": Method.MINMAX})
    assert ranges["a"] == choose_range(found["a"], MINMAX, U8)
    assert ranges["b"] == choose_range(found["b"], MSE, U8)


@pytest.mark.parametrize(
    ("found", "bounds"),
    [
        (Range(0.5, 0, signed=True), (-64.0, 63.5)),
        (Range(0.5, 0, signed=False), (0.0, 127.5)),
        (Range(0.5, 100, signed=False), (-50.0, 77.5)),
        (Range(2.0, 255, signed=False), (-510.0, 0.0)),
    ],
)
def test_the_bounds_are_what_the_outermost_integers_stand_for(found, bounds):
    assert found.bounds == bounds
    np.testing.assert_allclose(there_and_back(np.array([-1e6, 1e6]), found), bounds)


@given(array=values, recipe=recipes, scheme=schemes)
def test_what_is_not_outside_the_bounds_comes_back_within_half_a_step(array, recipe, scheme):
    found = choose_range(seen(array), recipe, scheme)
    low, high = found.bounds
    assert low <= 0 <= high
    inside = array[(array >= low) & (array <= high)].astype(np.float64)
    assert (np.abs(there_and_back(inside, found) - inside) <= found.scale * 0.5001).all()


def test_the_clipped_share_is_that_of_the_values(rng):
    array = rng.normal(size=MANY)
    for reach in (1.0, 2.0, 3.0):
        for scheme in (U8, S8):
            found = cover(-reach, reach, scheme)
            low, high = found.bounds
            outside = ((array < low - found.scale / 2) | (array > high + found.scale / 2)).mean()
            assert clipped(seen(array), found) == pytest.approx(outside, abs=0.002)


@given(array=values, scheme=schemes)
def test_minmax_clips_nothing(array, scheme):
    found = choose_range(seen(array), MINMAX, scheme)
    if np.abs(array).max() > SMALLEST:
        assert clipped(seen(array), found) == 0


@pytest.mark.parametrize("method", Method)
def test_a_tensor_that_is_always_zero_gets_some_range(method):
    for scheme in (U8, S8):
        found = choose_range(seen(np.zeros(50)), recipe_by(method), scheme)
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


@given(weight=weights)
def test_seven_bits_keep_weights_within_63(weight):
    """Sums of two products of them fit into 16 bits: what x86 without VNNI adds up in."""
    quantized, scale = quantize_weight(weight, None, 1.0, 7)
    assert np.abs(quantized.astype(int)).max() <= 63
    steps = scale.astype(np.float64).reshape(-1, *[1] * (weight.ndim - 1))
    assert (np.abs(quantized * steps - weight) <= steps * 0.5001).all()
    flat = np.abs(weight.reshape(len(weight), -1)).max(1)
    largest = np.abs(quantized.reshape(len(weight), -1).astype(int)).max(1)
    assert (largest[flat > SMALLEST] == 63).all()


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
