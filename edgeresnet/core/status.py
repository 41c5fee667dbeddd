"""How a run is doing at one moment: what the page, the metrics and the status line show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

SourceState = Literal["connecting", "live", "stalled", "backoff", "ended"]
SinkState = Literal["ok", "failing"]


@dataclass(frozen=True)
class Frames:
    """Counts, always exact: ``captured`` = ``inferred`` + the sum of ``dropped``.

    A frame counts as captured once its fate is known; ``in_flight`` are those under way.
    """

    captured: int = 0
    inferred: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    """Reason to count."""
    in_flight: int = 0


@dataclass(frozen=True)
class SourceHealth:
    """What a source knows of itself."""

    state: SourceState
    reason: str = ""
    """One word (``refused``, ``unauthorized``, ``stalled``, ``crashed`` …); empty while live."""
    detail: str = ""
    """One line for a person, free of credentials."""
    since_s: float = 0.0
    """How long it has been in this state."""
    attempts: int = 0
    """How often it tried to connect."""
    reconnects: int = 0
    """How often it was lost and came back."""
    frozen: bool = False
    """Whether the picture has not changed for long: a warning, not a fault."""


@dataclass(frozen=True)
class SourceStatus:
    """One source of a run."""

    name: str
    health: SourceHealth
    frames: Frames
    fps: float = 0.0
    """Captured frames a second, over the last seconds."""
    size: tuple[int, int] | None = None
    """Width and height of the newest frame."""


@dataclass(frozen=True)
class SinkStatus:
    """One sink of a run. ``accepted`` = ``delivered`` + ``waiting`` + the sum of ``dropped``."""

    name: str
    """The sink as it was given, without credentials: ``mqtt://broker/topic``."""
    state: SinkState = "ok"
    reason: str = ""
    """Why it fails, one line, free of credentials."""
    accepted: int = 0
    """Predictions that were handed to it."""
    delivered: int = 0
    waiting: int = 0
    """In its queue or spool."""
    dropped: Mapping[str, int] = field(default_factory=dict)
    errors: int = 0
    """Failed attempts, each of which may have been tried again."""


@dataclass(frozen=True)
class RunStatus:
    """One run."""

    model: str
    uptime_s: float
    fps: float
    """Predictions a second, over the last seconds."""
    latency_ms: Mapping[str, float]
    """``p50 p90 p99 max`` from capture to result, over the last seconds."""
    stages_ms: Mapping[str, float]
    """Medians of ``decode prepare infer finish``, over the whole run."""
    frames: Frames
    """Of all sources together."""
    sources: tuple[SourceStatus, ...] = ()
    sinks: tuple[SinkStatus, ...] = ()
    recompiled: int = 0
    rss_mb: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """As plain values, the same names."""
        return asdict(self)

    @property
    def troubles(self) -> tuple[str, ...]:
        """A line for each source and sink that is not well; empty when all is."""
        sources = (
            f"source {one.name}: "
            + ("the picture is frozen" if one.health.frozen else one.health.state)
            + (f" ({one.health.reason})" if one.health.reason else "")
            for one in self.sources
            if one.health.state not in ("live", "ended") or one.health.frozen
        )
        sinks = (f"sink {one.name}: {one.reason}" for one in self.sinks if one.state != "ok")
        return (*sources, *sinks)
