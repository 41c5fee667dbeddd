"""How far the logits of a quantized network are from the float network's."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeresnet.metrics.accuracy import Bools, Floats, same_label

Sources = npt.NDArray[np.int64]
_SMALLEST = 1e-12


@dataclass(frozen=True)
class Estimate:
    """A figure in percent, and its standard error in points (``None`` for a single source)."""

    value: float
    error: float | None

    def as_json(self) -> dict[str, float | None]:
        """``{"value", "error"}``."""
        return {
            "value": round(self.value, 3),
            "error": None if self.error is None else round(self.error, 3),
        }


@dataclass(frozen=True)
class Fidelity:
    """What quantization did to the logits, on the same views.

    The mean of each view's logits is taken off first: softmax does not see it.
    """

    error: float
    """Mean over the views of ``|float - int8| / |float|``."""
    pooled_error: float
    """The same of all views' logits as one vector: large logits weigh more."""
    divergence: float
    """Mean Kullback-Leibler divergence of the int8 from the float probabilities, in nats."""
    agreement: Estimate
    """Views with the float network's label."""

    def as_json(self) -> dict[str, Any]:
        """Plain numbers."""
        rounded = {k: round(v, 6) for k, v in asdict(self).items() if isinstance(v, float)}
        return {**rounded, "agreement": self.agreement.as_json()}


def percent(values: Floats | Bools, sources: Sources) -> Estimate:
    """Mean of ``values`` in percent, its error from the spread between sources.

    Views of one source go wrong together; the sandwich estimator for clusters (Liang and Zeger
    1986) sums the residuals of a source before it squares them. With one view a source it is the
    plain standard error.
    """
    x = np.asarray(values, np.float64)
    mean = float(x.mean())
    _, member = np.unique(sources, return_inverse=True)
    sums = np.bincount(member, weights=x - mean)
    if len(sums) < 2:
        return Estimate(100 * mean, None)
    variance = float(np.sum(sums**2)) / len(x) ** 2 * len(sums) / (len(sums) - 1)
    return Estimate(100 * mean, 100 * math.sqrt(variance))


def fidelity(exact: Floats, rounded: Floats, sources: Sources) -> Fidelity:
    """Compare the logits of two networks, views x classes each."""
    a, b = (x.astype(np.float64) - x.mean(1, keepdims=True) for x in (exact, rounded))
    distance, size = np.linalg.norm(a - b, axis=1), np.linalg.norm(a, axis=1)
    p, q = _log_softmax(a), _log_softmax(b)
    return Fidelity(
        error=float(np.mean(distance / np.maximum(size, _SMALLEST))),
        pooled_error=float(np.linalg.norm(distance)) / max(float(np.linalg.norm(size)), _SMALLEST),
        divergence=float(np.mean(np.sum(np.exp(p) * (p - q), axis=1))),
        agreement=percent(same_label(exact, rounded), sources),
    )


def more_agreement(exact: Floats, ours: Floats, theirs: Floats, sources: Sources) -> Estimate:
    """Points of agreement with float that ours has over theirs, paired view by view."""
    one, other = (same_label(exact, x).astype(np.float32) for x in (ours, theirs))
    return percent(one - other, sources)


def largest_difference(one: Floats, other: Floats) -> float:
    """Largest difference of two runs, relative to the largest logit."""
    return float(np.abs(one - other).max() / max(float(np.abs(other).max()), _SMALLEST))


def _log_softmax(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    shifted = x - x.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))
