"""The way of one axis from source pixels to fitted pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np


@dataclass(frozen=True)
class Axis:
    """What is read, and how much of what it becomes is kept."""

    start: int
    stop: int
    """Source pixels used, of the picture as reduced by ``reduce``."""
    reduce: int
    """Whole factor by which area-averaging shrinks first."""
    grid: int
    """Fitted pixels that ``start`` to ``stop`` become."""
    skip: int
    """Fitted pixels cut off before the first that is kept."""
    ratio: float
    """Reduced source pixels per fitted pixel."""

    @property
    def scale(self) -> float:
        """Fitted pixels per source pixel, exactly: whole pixels are read."""
        return self.grid / ((self.stop - self.start) * self.reduce)

    @property
    def shift(self) -> float:
        """Where the source begins, in fitted pixels from the first that is kept."""
        return -self.start * self.reduce * self.scale - self.skip


_NEIGHBOURS = 2
"""Source pixels on either side that an enlarged pixel may depend on."""
_FARTHEST = 32
_PIXEL_COST = 0.002
"""What one more fitted pixel outside the crop is worth, in fitted pixels of misalignment."""


def plan_axis(source: int, resized: int, size: int) -> Axis:
    """Plan one axis: ``source`` pixels shrunk to ``resized``, the middle ``size`` kept.

    Only the source pixels under the crop and a few around it are read. The cut is made where a
    fitted pixel's edge falls on a whole source pixel, or nearly, so that the sampling grid is that
    of the uncropped picture. Crop offsets are rounded as torchvision's ``center_crop`` does.
    """
    ratio = source / resized
    reduce = int(ratio / 2) if ratio >= 4 else 1
    ratio /= reduce
    left = round((resized - size) / 2.0)
    limit = source // reduce
    near = math.ceil(_NEIGHBOURS / ratio)

    def cut(edge: int, outwards: int, end: int) -> int:
        edges = range(near, max(near, _FARTHEST) + 1)
        places = [min(max(edge + away * outwards, 0), end) for away in edges]

        def cost(place: int) -> float:
            off = abs(place * ratio - min(round(place * ratio), limit)) / ratio
            return off + _PIXEL_COST * abs(place - edge)

        return min(places, key=cost)

    low, high = cut(left, -1, resized), cut(left + size, 1, resized)
    start, stop = round(low * ratio), min(round(high * ratio), limit)
    return Axis(start, max(stop, start + 1), reduce, high - low, left - low, ratio)


@lru_cache(maxsize=64)
def smoothing(axis: Axis) -> tuple[float, float, float]:
    """Three taps that bring the twofold grid to the variance of PIL's triangle filter.

    A triangle of half-width ``r`` has variance r^2/6. What the other steps contribute, in reduced
    source pixels: area reduction (1 - 1/k^2)/12, linear sampling at phase f on average f(1-f), the
    final mean of two samples (r/2)^2/4. The taps (b, 1-2b, b) give the rest, 2b (r/2)^2.
    """
    step = axis.ratio / 2
    phase = ((np.arange(2 * axis.grid) + 0.5) * step - 0.5) % 1.0
    sampling = float(np.mean(phase * (1 - phase)))
    reduction = (1 - 1 / axis.reduce**2) / 12
    missing = (axis.ratio**2 / 6 - reduction - sampling) / step**2 - 0.25
    b = min(max(missing / 2, 0.0), 0.25)
    return (b, 1 - 2 * b, b) if b > 0.01 else (0.0, 1.0, 0.0)
