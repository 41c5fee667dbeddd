"""Every frame accounted for: captured = inferred + the sum of dropped, by reason."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Counters:
    """Frame counts of one run; safe to use from several threads."""

    captured: int = 0
    inferred: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    """Reason to count: ``newer`` (a newer frame was there first), ``stale`` (older than
    ``--max-age``), ``rate`` (over ``--fps``), ``stopped`` (the run ended), and a source's own
    ``corrupt`` and ``unreadable``."""
    _settled: bool = field(default=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def capture(self) -> None:
        """A frame came out of the source."""
        with self._lock:
            self.captured += not self._settled

    def infer(self) -> None:
        """A frame got its prediction."""
        with self._lock:
            self.inferred += not self._settled

    def drop(self, reason: str) -> None:
        """A captured frame gets no prediction."""
        with self._lock:
            self._add(reason, 1)

    def settle(self, lost_by_source: Mapping[str, int]) -> None:
        """End the count: a frame that is neither inferred nor dropped by now was ``stopped``.

        ``lost_by_source`` is what the source captured but could not make into frames. What a
        capture thread that hung counts later belongs to no run, and is not taken in.
        """
        with self._lock:
            self._add("stopped", self.captured - self.inferred - sum(self.dropped.values()))
            for reason, count in lost_by_source.items():
                self._add(reason, count)
                self.captured += count if not self._settled else 0
            self._settled = True

    def include(self, other: Counters) -> None:
        """Add the frames of another run, which has ended."""
        with self._lock:
            self.captured += other.captured
            self.inferred += other.inferred
            for reason, count in other.dropped.items():
                self._add(reason, count)

    def as_json(self) -> dict[str, Any]:
        """``{"captured", "inferred", "dropped"}``."""
        with self._lock:
            return {
                "captured": self.captured,
                "inferred": self.inferred,
                "dropped": dict(self.dropped),
            }

    def _add(self, reason: str, count: int) -> None:
        if count and not self._settled:
            self.dropped[reason] = self.dropped.get(reason, 0) + count

    @property
    def balanced(self) -> bool:
        """Whether the identity holds."""
        return self.captured == self.inferred + sum(self.dropped.values())
