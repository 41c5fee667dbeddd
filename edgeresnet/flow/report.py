"""What happened to the frames of a run, in figures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import psutil

from edgeresnet.flow.counters import Counters
from edgeresnet.flow.intake import Feed
from edgeresnet.flow.meanwhile import Handover
from edgeresnet.flow.outlet import Outlet
from edgeresnet.flow.stream import Result
from edgeresnet.metrics.fingerprint import fingerprint
from edgeresnet.metrics.throughput import Throughput
from edgeresnet.metrics.timing import Durations

STAGES = ("decode", "prepare", "infer", "finish")


@dataclass
class RunReport:
    """What happened in a run, so far or in all."""

    counters: Counters = field(default_factory=Counters)
    """Of all sources together."""
    latency: Durations = field(default_factory=Durations)
    stages: dict[str, Durations] = field(default_factory=lambda: {s: Durations() for s in STAGES})
    model: str = ""
    recompiled: int = 0
    feeds: tuple[Feed, ...] = ()
    sinks: tuple[Outlet, ...] = ()
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Width and height of the newest frame of each source."""
    handover: Handover | None = None
    """Where another runtime serves while the engine is built."""
    throughput: Throughput = field(default_factory=Throughput)

    def add(self, result: Result) -> None:
        """Take in one prediction."""
        self.throughput.add(result.frame.captured_ns, result.done_ns)
        self.sizes[result.frame.source] = result.frame.width, result.frame.height
        self.latency.add((result.done_ns - result.frame.captured_ns) / 1e6)
        for name in STAGES:
            self.stages[name].add(getattr(result, f"{name}_ns") / 1e6)

    @property
    def times_recompiled(self) -> int:
        """How many times an engine was compiled wrongly and thrown away."""
        return self.recompiled + (self.handover.recompiled if self.handover else 0)

    @property
    def fps(self) -> float:
        """Predictions a second once warm."""
        return self.throughput.per_second

    def as_json(self) -> dict[str, Any]:
        """The run report of the README."""
        data = {
            "model": self.model,
            "frames": self.counters.as_json(),
            "fps": round(self.fps, 2),
            "latency_ms": self.latency.as_json(),
            "stages_ms": {name: round(d.percentile(50), 3) for name, d in self.stages.items()},
            "recompiled": self.times_recompiled,
            "rss_mb": round(psutil.Process().memory_info().rss / 1e6, 1),
            "fingerprint": fingerprint(),
        }
        if self.handover is not None:
            data["while_building"] = self.handover.as_json()
        if len(self.feeds) > 1:
            data["sources"] = {feed.name: feed.counters.as_json() for feed in self.feeds}
        if self.sinks:
            data["sinks"] = [
                {
                    "name": one.name,
                    "accepted": one.accepted,
                    "delivered": one.delivered,
                    "waiting": one.waiting,
                    "dropped": dict(one.dropped),
                    "errors": one.errors,
                }
                for one in (outlet.status() for outlet in self.sinks)
            ]
        return data
