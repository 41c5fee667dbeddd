"""From statistics to scales and zero points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeresnet.core.recipe import Method, Recipe
from edgeresnet.core.target import Scheme
from edgeresnet.core.tensors import Array
from edgeresnet.quantize.placement import Placement
from edgeresnet.quantize.statistics import Statistics, TensorStatistics

_SMALLEST_SCALE = 1e-8


@dataclass(frozen=True)
class Range:
    """Real value = (integer - zero_point) * scale."""

    scale: float
    zero_point: int
    signed: bool


def choose_range(found: TensorStatistics, recipe: Recipe, scheme: Scheme) -> Range:
    """The range of one activation tensor; it always holds zero."""
    low, high = min(found.low, 0.0), max(found.high, 0.0)
    if recipe.method is Method.PERCENTILE:
        tail = (100 - recipe.percentile) / 100
        low = max(low, min(found.quantile(tail), 0.0)) if low < 0 else low
        high = min(high, max(found.quantile(1 - tail), 0.0))
    if scheme is Scheme.S8_SYMMETRIC:
        return Range(max(abs(low), high, _SMALLEST_SCALE * 127) / 127, 0, signed=True)
    scale = max(high - low, _SMALLEST_SCALE * 255) / 255
    return Range(scale, int(np.clip(np.rint(-low / scale), 0, 255)), signed=False)


def choose_ranges(
    statistics: Statistics, placement: Placement, recipe: Recipe, scheme: Scheme
) -> dict[str, Range]:
    """Every tensor's range; tensors that only move values share the range of their origin."""
    ranges = {
        name: choose_range(statistics[name], recipe, scheme)
        for name in placement.tensors
        if name not in placement.same_as
    }
    for name, origin in placement.same_as.items():
        ranges[name] = ranges[origin]
    return ranges


def quantize_weight(
    weight: Array, bias: Array | None, input_scale: float
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """INT8 weights and one scale per output channel (axis 0), symmetric, -127 to 127.

    A channel's scale is kept large enough for its bias, in units of ``input_scale`` times that
    scale, to fit into 31 bits; a channel of zeros gets any scale.
    """
    flat = np.abs(weight.reshape(weight.shape[0], -1)).max(1).astype(np.float64)
    scale = np.maximum(flat / 127, _SMALLEST_SCALE)
    if bias is not None:
        scale = np.maximum(scale, np.abs(bias) / input_scale / 2**30)
    scale32 = scale.astype(np.float32)
    shape = (-1, *([1] * (weight.ndim - 1)))
    quantized = np.clip(np.rint(weight / scale32.reshape(shape)), -127, 127)
    return quantized.astype(np.int8), scale32
