"""Every frame accounted for: captured = inferred + the sum of dropped, by reason."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edgeresnet.core.status import Frames


@dataclass
class Counters:
    """Frame counts of one source or of a whole run; safe to use from several threads.

    What is counted here is counted in ``total`` as well.
    """

    captured: int = 0
    inferred: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    """Reason to count: ``newer`` (a newer frame was there first), ``stale`` (older than
    ``--max-age``), ``rate`` (over ``--fps``), ``stopped`` (the run ended), and a source's own
    ``corrupt``, ``unreadable``, ``overrun`` (captured while all buffers were in use) and
    ``region`` (its region lies outside)."""
    total: Counters | None = field(default=None, repr=False)
    settled: bool = field(default=False, repr=False)
    """Whether the count is closed."""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def capture(self) -> None:
        """A frame came out of the source."""
        self.capture_many(1)

    def capture_many(self, count: int) -> None:
        """So many frames came out of a source."""
        with self._lock:
            self._capture(count)

    def drop_many(self, reason: str, count: int) -> None:
        """So many captured frames get no prediction."""
        with self._lock:
            self._add(reason, count)

    def infer(self) -> None:
        """A frame got its prediction."""
        with self._lock:
            if self.settled:
                return
            self.inferred += 1
            if self.total is not None:
                self.total.infer()

    def drop(self, reason: str) -> None:
        """A captured frame gets no prediction."""
        self.drop_many(reason, 1)

    def settle(self, lost_by_source: Mapping[str, int]) -> None:
        """End the count: a frame that is neither inferred nor dropped by now was ``stopped``.

        ``lost_by_source`` is what the source captured but could not make into frames. What a
        capture thread that hung counts later belongs to no run, and is not taken in.
        """
        with self._lock:
            self._add("stopped", self.captured - self.inferred - sum(self.dropped.values()))
            for reason, count in lost_by_source.items():
                self._capture(count)
                self._add(reason, count)
            self.settled = True

    def include(self, other: Counters) -> None:
        """Add the frames of another run, which has ended."""
        with self._lock:
            self.captured += other.captured
            self.inferred += other.inferred
            for reason, count in other.dropped.items():
                self._add(reason, count)

    def frames(self, lost_by_source: Mapping[str, int]) -> Frames:
        """The counts at this moment, frames under way apart, so that the identity is exact."""
        with self._lock:
            dropped = dict(self.dropped)
            in_flight = self.captured - self.inferred - sum(dropped.values())
            for reason, count in ({} if self.settled else dict(lost_by_source)).items():
                if count:
                    dropped[reason] = dropped.get(reason, 0) + count
            return Frames(self.inferred + sum(dropped.values()), self.inferred, dropped, in_flight)

    def as_json(self) -> dict[str, Any]:
        """``{"captured", "inferred", "dropped"}``."""
        with self._lock:
            return {
                "captured": self.captured,
                "inferred": self.inferred,
                "dropped": dict(self.dropped),
            }

    def _capture(self, count: int) -> None:
        if self.settled:
            return
        self.captured += count
        if self.total is not None:
            self.total.capture_many(count)

    def _add(self, reason: str, count: int) -> None:
        if not count or self.settled:
            return
        self.dropped[reason] = self.dropped.get(reason, 0) + count
        if self.total is not None:
            self.total.drop_many(reason, count)

    @property
    def balanced(self) -> bool:
        """Whether the identity holds."""
        return self.captured == self.inferred + sum(self.dropped.values())
