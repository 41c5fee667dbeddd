"""Top-k accuracy and other figures over pictures, each with its 95 % interval."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]
Z95 = 1.959964
"""Standard deviations of a normal law that hold its middle 95 %, to either side."""


@dataclass(frozen=True)
class Interval:
    """A figure in percent, and the 95 % interval around it."""

    value: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half of the interval, in points."""
        return (self.high - self.low) / 2

    def as_json(self) -> dict[str, float]:
        """``{"value", "low", "high"}``, in percent."""
        return {
            "value": round(self.value, 3),
            "low": round(self.low, 3),
            "high": round(self.high, 3),
        }

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


def proportion(hits: Bools) -> Interval:
    """Share of true values, in percent, with Wilson's score interval."""
    n = len(hits)
    share = float(np.mean(hits))
    middle = (share + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    spread = math.sqrt(share * (1 - share) / n + Z95**2 / (4 * n * n)) * Z95 / (1 + Z95**2 / n)
    low, high = max(0.0, middle - spread), min(1.0, middle + spread)
    return Interval(100 * share, 100 * min(low, share), 100 * max(high, share))


def mean_of(values: npt.NDArray[np.float64], least: float, most: float) -> Interval:
    """Mean of values between ``least`` and ``most``, with 1.96 standard errors to either side."""
    mean, n = float(values.mean()), len(values)
    spread = Z95 * float(values.std(ddof=1)) / math.sqrt(n) if n > 1 else math.inf
    return Interval(mean, max(least, mean - spread), min(most, mean + spread))


def paired_drop(before: Bools, after: Bools) -> Interval:
    """Points lost from ``before`` to ``after`` on the same pictures, with a paired interval.

    Only pictures that changed matter: b were right and became wrong, c the other way round. The
    interval is Agresti and Min's (2005): half a picture is added to each of the four cells of the
    paired table, then Wald's formula for the difference of paired proportions.
    """
    n = len(before) + 2.0
    b = float(np.sum(before & ~after)) + 0.5
    c = float(np.sum(~before & after)) + 0.5
    middle = (b - c) / n
    spread = Z95 * math.sqrt(max(b + c - (b - c) ** 2 / n, 0.0)) / n
    value = (float(np.mean(before)) - float(np.mean(after))) * 100
    return Interval(value, 100 * (middle - spread), 100 * (middle + spread))


def pictures_needed(drop: Interval, pictures: int, bar: float) -> int:
    """How many pictures would bring the half width of ``drop`` down to half of ``bar`` points.

    The half width of :func:`paired_drop` over n pictures is z sqrt(r n + 1) / (n + 2), r being the
    share of those that changed, as many for the better: it goes with 1 / n where none did, and with
    1 / sqrt(n) where many did. Solved for n, with r from the half width at hand.
    """
    if bar <= 0:
        return pictures
    now, then = (half / 100 / Z95 for half in (drop.half_width, bar / 2))
    changed = max((now * (pictures + 2)) ** 2 - 1, 0.0) / pictures
    root = math.sqrt(max(changed**2 + 4 * then**2 * (1 - 2 * changed), 0.0))
    return max(math.ceil((changed + root) / (2 * then**2)) - 2, 1)


def top_k(logits: Floats, truth: npt.NDArray[np.int64], k: int) -> Bools:
    """Whether the true class is among the ``k`` largest logits, a picture each."""
    k = min(k, logits.shape[1])
    best = np.argpartition(-logits, k - 1, axis=1)[:, :k]
    return np.asarray((best == truth[:, None]).any(axis=1))


def same_label(one: Floats, other: Floats) -> Bools:
    """Whether two networks give the same best class, a picture each."""
    return np.asarray(one.argmax(1) == other.argmax(1))
