"""How a run is doing at this moment."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import psutil

from edgeresnet.core.status import Frames, RunStatus, SourceHealth, SourceStatus
from edgeresnet.flow.intake import Feed
from edgeresnet.flow.report import RunReport
from edgeresnet.metrics.timing import Durations

_WINDOW_S = 5.0
_APART_S = 0.5


@dataclass(frozen=True)
class _Moment:
    """What had been counted at a time."""

    at: float
    inferred: int
    captured: Mapping[str, int]
    latency: Durations


class Watch:
    """How a run is doing now: :meth:`status` may be asked from any thread, at any time."""

    def __init__(self, report: RunReport) -> None:
        self._report = report
        self._begin = time.monotonic()
        self._lock = threading.Lock()
        self._seen = deque([_Moment(self._begin, 0, {}, Durations())])

    def status(self) -> RunStatus:
        """A view that is exact in itself: the identity holds for each source and for the whole."""
        with self._lock:
            return self._status(time.monotonic())

    def _status(self, now: float) -> RunStatus:
        report = self._report
        frames = {
            feed.name: feed.counters.frames(getattr(feed.source, "dropped", {}))
            for feed in report.feeds
        }
        captured = {name: one.captured + one.in_flight for name, one in frames.items()}
        latency = report.latency.copy()
        inferred = sum(one.inferred for one in frames.values())
        then = self._earlier(_Moment(now, inferred, captured, latency))
        seconds = max(now - then.at, 1e-3)
        return RunStatus(
            model=report.model,
            uptime_s=round(now - self._begin, 3),
            fps=round((inferred - then.inferred) / seconds, 2),
            latency_ms=latency.since(then.latency).as_json(),
            stages_ms={name: round(one.percentile(50), 3) for name, one in report.stages.items()},
            frames=_sum(frames.values()),
            sources=tuple(
                SourceStatus(
                    name,
                    _health(feed, self._begin, now),
                    frames[name],
                    round((captured[name] - then.captured.get(name, 0)) / seconds, 2),
                    report.sizes.get(name),
                )
                for name, feed in ((feed.name, feed) for feed in report.feeds)
            ),
            sinks=tuple(sink.status() for sink in report.sinks),
            recompiled=report.recompiled,
            rss_mb=round(psutil.Process().memory_info().rss / 1e6, 1),
        )

    def _earlier(self, now: _Moment) -> _Moment:
        """The moment to compare with: a few seconds ago, as far as anybody asked."""
        while len(self._seen) > 1 and now.at - self._seen[1].at >= _WINDOW_S:
            self._seen.popleft()
        if now.at - self._seen[-1].at >= _APART_S:
            self._seen.append(now)
        return self._seen[0]


def _health(feed: Feed, begin: float, now: float) -> SourceHealth:
    """What the source says; one that says nothing is live until its thread has ended."""
    ask = getattr(feed.source, "health", None)
    if ask is not None:
        health: SourceHealth = ask()
        return health
    return SourceHealth("ended" if feed.counters.settled else "live", since_s=now - begin)


def _sum(parts: Iterable[Frames]) -> Frames:
    captured = inferred = in_flight = 0
    dropped: dict[str, int] = {}
    for part in parts:
        captured += part.captured
        inferred += part.inferred
        in_flight += part.in_flight
        for reason, count in part.dropped.items():
            dropped[reason] = dropped.get(reason, 0) + count
    return Frames(captured, inferred, dropped, in_flight)
