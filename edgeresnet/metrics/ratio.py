"""How many times as fast one thing is as another, timed in the same rounds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_Z95 = 1.959964


@dataclass(frozen=True)
class Ratio:
    """A factor, and the 95 % interval around it."""

    value: float
    low: float
    high: float

    def as_json(self) -> dict[str, float]:
        """``{"value", "low", "high"}``."""
        return {
            "value": round(self.value, 3),
            "low": round(self.low, 3),
            "high": round(self.high, 3),
        }

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


def speedup(slow_ms: Sequence[float], fast_ms: Sequence[float]) -> Ratio:
    """Median over the rounds of ``slow_ms / fast_ms``, with the order statistics' interval.

    The share of rounds below the true median is binomial, so ranks n/2 -+ 1.96 sqrt(n)/2 bound it
    whatever the distribution (Conover, Practical Nonparametric Statistics, 3.2). What slows the
    whole machine for a while slows both of a round and cancels.
    """
    ratios = np.sort(np.array(slow_ms, np.float64) / np.array(fast_ms, np.float64))
    n = len(ratios)
    away = _Z95 * math.sqrt(n) / 2
    low = max(math.floor(n / 2 - away), 0)
    high = min(math.ceil(n / 2 + away), n - 1)
    return Ratio(float(np.median(ratios)), float(ratios[low]), float(ratios[high]))
