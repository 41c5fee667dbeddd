"""Percentiles of times, in memory that does not grow."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

_PER_DECADE = 240
_SMALLEST_MS = 1e-3
_BINS = 8 * _PER_DECADE


@dataclass
class Durations:
    """Times in milliseconds, 1 µs to 100 s, kept to 1 percent in a fixed histogram."""

    counts: list[int] = field(default_factory=lambda: [0] * _BINS)
    total: int = 0
    sum_ms: float = 0.0
    max_ms: float = 0.0

    def add(self, ms: float) -> None:
        """Take in one time."""
        at = int(math.log10(max(ms, _SMALLEST_MS) / _SMALLEST_MS) * _PER_DECADE)
        self.counts[min(at, _BINS - 1)] += 1
        self.total += 1
        self.sum_ms += ms
        self.max_ms = max(self.max_ms, ms)

    def percentile(self, percent: float) -> float:
        """The time that ``percent`` of all do not exceed; 0 when there are none."""
        wanted, seen = self.total * percent / 100, 0
        for at, count in enumerate(self.counts):
            seen += count
            if count and seen >= wanted:
                return min(_SMALLEST_MS * 10 ** ((at + 0.5) / _PER_DECADE), self.max_ms)
        return 0.0

    def copy(self) -> Durations:
        """The same times, in a histogram of its own."""
        return Durations(self.counts.copy(), self.total, self.sum_ms, self.max_ms)

    def since(self, earlier: Durations) -> Durations:
        """The times that came after ``earlier``, a copy of this one; ``max_ms`` to one percent."""
        counts = [now - then for now, then in zip(self.counts, earlier.counts, strict=True)]
        top = max((at for at, count in enumerate(counts) if count), default=-1)
        most_ms = min(_SMALLEST_MS * 10 ** ((top + 1) / _PER_DECADE), self.max_ms)
        return Durations(
            counts,
            self.total - earlier.total,
            self.sum_ms - earlier.sum_ms,
            most_ms if top >= 0 else 0.0,
        )

    def as_json(self) -> dict[str, float]:
        """``{"p50", "p90", "p99", "max"}`` in milliseconds."""
        return {
            "p50": round(self.percentile(50), 3),
            "p90": round(self.percentile(90), 3),
            "p99": round(self.percentile(99), 3),
            "max": round(self.max_ms, 3),
        }
