"""Every frame accounted for: captured = inferred + the sum of dropped, by reason."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass
class Counters:
    """Frame counts of one run; safe to use from several threads."""

    captured: int = 0
    inferred: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    """Reason to count: ``newer`` (a newer frame was there first), ``stale`` (older than
    ``--max-age``), ``rate`` (over ``--fps``), ``stopped`` (the run ended), and a source's own
    ``corrupt`` and ``unreadable``."""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def capture(self) -> None:
        """A frame came out of the source."""
        with self._lock:
            self.captured += 1

    def infer(self) -> None:
        """A frame got its prediction."""
        with self._lock:
            self.inferred += 1

    def drop(self, reason: str, count: int = 1) -> None:
        """Captured frames that get no prediction."""
        with self._lock:
            self.dropped[reason] = self.dropped.get(reason, 0) + count

    def lost_by_source(self, dropped: Mapping[str, int]) -> None:
        """What the source captured but could not make into frames."""
        for reason, count in dropped.items():
            if count:
                self.drop(reason, count)
                with self._lock:
                    self.captured += count

    @property
    def balanced(self) -> bool:
        """Whether the identity holds."""
        return self.captured == self.inferred + sum(self.dropped.values())
