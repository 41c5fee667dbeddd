"""What the capture child can connect to, one module for each kind.

Each has ``connect(order)``: a generator that gives :class:`Opened` once, then shots and losses as
they come; ends when the stream does; raises :class:`~edgeresnet.sources.fault.Fault`.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from edgeresnet.core.secrets import Secret
from edgeresnet.sources.shots import Lost, Shot

GRABBERS = {
    "network": "edgeresnet.sources.grab.network",
    "v4l2": "edgeresnet.sources.grab.v4l2",
    "gst": "edgeresnet.sources.grab.gst",
    "drawn": "edgeresnet.sources.grab.drawn",
}
"""Kind to the module that connects."""


@dataclass(frozen=True)
class Order:
    """What to connect to."""

    kind: str
    place: str = field(repr=False)
    """URL, device, size: as the kind takes it; without credentials."""
    options: Mapping[str, Any] = field(default_factory=dict)
    secret: Secret | None = None
    """``user:password`` for whoever asks."""
    open_s: float = 5.0


@dataclass(frozen=True)
class Opened:
    """The source has answered."""

    fps: float | None = None


@dataclass(frozen=True)
class Said:
    """One line for the log."""

    what: str


@dataclass(frozen=True)
class Ended:
    """The source is at its end, which it was bound to have; there is nothing to come back for."""


Grab: TypeAlias = Opened | Said | Shot | Lost | Ended
Grabbed: TypeAlias = Generator[Grab, None, None]
