"""Results a second of a run that infers several frames at the same time."""

from __future__ import annotations

from dataclasses import dataclass

_WARM_UP_NS = 500_000_000


@dataclass
class Throughput:
    """Counts results as they come.

    Frames that are inferred ``at_once`` begin together and may come together, so that many results
    are one step: time runs from the end of a step to the end of a later one.
    """

    at_once: int = 1
    results: int = 0
    """So far."""
    _begin_ns: int = 0
    _newest_ns: int = 0
    _first: tuple[int, int] = (0, 0)
    _warm: tuple[int, int] = (0, 0)
    _last: tuple[int, int] = (0, 0)
    """Results and moment (ns) at the end of the first step, of the first one once warm, of the
    last."""

    def add(self, captured_ns: int, done_ns: int) -> None:
        """Take in one result."""
        self.results += 1
        self._begin_ns = self._begin_ns or captured_ns
        self._newest_ns = max(self._newest_ns, done_ns)
        if self.results % self.at_once:
            return
        self._last = self.results, self._newest_ns
        if not self._first[0]:
            self._first = self._last
        elif not self._warm[0] and self._newest_ns - self._first[1] > _WARM_UP_NS:
            self._warm = self._last

    @property
    def per_second(self) -> float:
        """The rate once warm: without the first half second, unless most results are of it.

        Of less than two steps, all results over the time since the first capture; of one, 0.
        """
        if self.results < 2:
            return 0.0
        if self._first == self._last:
            return _rate(self.results, self._newest_ns - self._begin_ns)
        (count, moment), warm = self._last, self._warm
        behind = count - warm[0] + self.at_once
        since = warm if warm[0] and 2 * behind > count else self._first
        return _rate(count - since[0], moment - since[1])


def _rate(count: int, span_ns: int) -> float:
    return count * 1e9 / span_ns if span_ns > 0 else 0.0
