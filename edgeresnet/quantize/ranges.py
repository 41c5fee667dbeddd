"""From statistics to scales and zero points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeresnet.core.recipe import Method, Recipe
from edgeresnet.core.target import Scheme
from edgeresnet.core.tensors import Array
from edgeresnet.quantize.placement import Placement
from edgeresnet.quantize.statistics import TensorStatistics

_SMALLEST_SCALE = 1e-8
_SHARES = np.linspace(1.0, 0.2, 65)
"""Shares of the whole range that the methods which weigh clipping against rounding try."""


@dataclass(frozen=True)
class Range:
    """Real value = (integer - zero_point) * scale."""

    scale: float
    zero_point: int
    signed: bool

    @property
    def bounds(self) -> tuple[float, float]:
        """The smallest and the largest value that is not clipped."""
        least, most = (-128, 127) if self.signed else (0, 255)
        return (least - self.zero_point) * self.scale, (most - self.zero_point) * self.scale


def choose_range(
    found: TensorStatistics, recipe: Recipe, scheme: Scheme, method: Method | None = None
) -> Range:
    """The range of one activation tensor by ``method``, else the recipe's; it always holds zero.

    ``auto`` starts from what ``lp`` gives.
    """
    method = method or recipe.method
    low, high = min(found.low, 0.0), max(found.high, 0.0)
    if method is Method.MINMAX:
        return cover(low, high, scheme)
    if method is Method.PERCENTILE:
        tail = (100 - recipe.percentile) / 100
        low = max(low, min(found.quantile(tail), 0.0)) if low < 0 else low
        return cover(low, min(high, max(found.quantile(1 - tail), 0.0)), scheme)
    if method is Method.ENTROPY:
        reach = _least_divergence(found, 127 if scheme is Scheme.S8_SYMMETRIC or low < 0 else 255)
        return cover(max(low, -reach), min(high, reach), scheme)
    power = 2.0 if method is Method.MSE else recipe.power
    candidates = [cover(low * share, high * share, scheme) for share in _SHARES]
    errors = [_error(found, candidate, power) for candidate in candidates]
    return candidates[int(np.argmin(errors))]


def cover(low: float, high: float, scheme: Scheme) -> Range:
    """The range from ``low`` (at most 0) to ``high`` (at least 0)."""
    if scheme is Scheme.S8_SYMMETRIC:
        return Range(max(abs(low), high, _SMALLEST_SCALE * 127) / 127, 0, signed=True)
    scale = max(high - low, _SMALLEST_SCALE * 255) / 255
    return Range(scale, int(np.clip(np.rint(-low / scale), 0, 255)), signed=False)


def clipped(found: TensorStatistics, chosen: Range) -> float:
    """Share of the sampled values outside the range, by bins that are wholly outside."""
    low, high = chosen.bounds
    near = chosen.scale / 2 + found.reach / len(found.counts)
    outside = (found.centres < low - near) | (found.centres > high + near)
    return float(found.counts[outside].sum() / found.counts.sum())


def _error(found: TensorStatistics, chosen: Range, power: float) -> float:
    """Sum of |error|^power: clipping where a value is outside, rounding (uniform) inside."""
    low, high = chosen.bounds
    below, above = (np.searchsorted(found.centres, bound) for bound in (low, high))
    under = found.counts[:below] @ (low - found.centres[:below]) ** power
    over = found.counts[above:] @ (found.centres[above:] - high) ** power
    inside = found.counts[below:above].sum() * (chosen.scale / 2) ** power / (power + 1)
    return float(under + over + inside)


def _least_divergence(found: TensorStatistics, levels: int) -> float:
    """The reach whose quantized histogram diverges least (Kullback-Leibler) from the clipped one.

    Migacz, "8-bit inference with TensorRT" (2017), on absolute values: what is clipped is counted
    in the last bin, and each level's mass spreads evenly over its bins that are not empty.
    """
    half = len(found.counts) // 2
    mass = (found.counts[half:] + found.counts[:half][::-1]).astype(np.float64)
    mass[0] = mass[1]  # exact zeros carry no information about the reach
    used = int(np.flatnonzero(mass)[-1]) + 1 if mass.any() else half
    stops = np.unique(np.linspace(min(levels, used), used, 128).astype(int))
    best, reach = np.inf, used
    for stop in stops:
        clipped = mass[:stop].copy()
        clipped[-1] += mass[stop:].sum()
        level = np.minimum(np.arange(stop) * levels // stop, levels - 1)
        filled = mass[:stop] > 0
        level_mass = np.bincount(level, mass[:stop], levels)
        level_bins = np.maximum(np.bincount(level, filled, levels), 1)
        spread = np.where(filled, (level_mass / level_bins)[level], 0)
        seen = clipped > 0
        p, q = clipped[seen] / clipped.sum(), spread[seen] / max(spread.sum(), 1e-30)
        divergence = float((p * np.log(p / np.maximum(q, 1e-12))).sum())
        if divergence < best:
            best, reach = divergence, stop
    return float(reach / half * found.reach)


def choose_ranges(
    statistics: Mapping[str, TensorStatistics],
    placement: Placement,
    recipe: Recipe,
    scheme: Scheme,
    methods: Mapping[str, Method] | None = None,
) -> dict[str, Range]:
    """Every tensor's range, by the method that ``methods`` names for it or the recipe's.

    Tensors that only move values share the range of their origin.
    """
    ranges = {
        name: choose_range(statistics[name], recipe, scheme, (methods or {}).get(name))
        for name in placement.tensors
        if name not in placement.same_as
    }
    for name, origin in placement.same_as.items():
        ranges[name] = ranges[origin]
    return ranges


def quantize_weight(
    weight: Array, bias: Array | None, input_scale: float, bits: int = 8
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """INT8 weights and one scale per output channel (axis 0), symmetric, -127 to 127.

    With ``bits`` 7 only -63 to 63 is used. A channel's scale is kept large enough for its bias, in
    units of ``input_scale`` times that scale, to fit into 31 bits; a channel of zeros gets any.
    """
    most = 2 ** (bits - 1) - 1
    flat = np.abs(weight.reshape(weight.shape[0], -1)).max(1).astype(np.float64)
    scale = np.maximum(flat / most, _SMALLEST_SCALE)
    if bias is not None:
        scale = np.maximum(scale, np.abs(bias) / input_scale / 2**30)
    scale32 = scale.astype(np.float32)
    shape = (-1, *([1] * (weight.ndim - 1)))
    quantized = np.clip(np.rint(weight / scale32.reshape(shape)), -most, most)
    return quantized.astype(np.int8), scale32
