"""Shots of a file or a device to frames: indexed, stamped, paced and counted."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import TypeAlias

from edgeresnet.core.frames import Frame
from edgeresnet.core.tensors import Pixels

_log = logging.getLogger("edgeresnet")


@dataclass(frozen=True, eq=False)
class Shot:
    """Pixels that nobody writes to any more, on their way to being a frame."""

    pixels: Pixels
    name: str = ""
    """The file, when each shot has its own."""
    captured_ns: int = 0
    """``time.monotonic_ns()`` when the device took it; 0: when it arrived here."""


@dataclass(frozen=True)
class Lost:
    """A shot that was captured and cannot become a frame."""

    reason: str
    """One word; the key in ``dropped``."""
    what: str = ""
    """One line for the log; empty when this was said before."""
    name: str = ""
    """The file, when each shot has its own."""


@dataclass(frozen=True)
class Loss:
    """A picture or frame of a file that gave no prediction, and why."""

    source: str
    name: str
    """The picture's file; empty for a frame of a video."""
    frame: int
    reason: str
    what: str


Shots: TypeAlias = Generator[Shot | Lost, None, None]


@dataclass(frozen=True, eq=False)
class ShotSource:
    """A frame source: whatever ``shots`` gives, until it ends or ``stop`` is set."""

    name: str
    """Unique within a run and free of credentials."""
    shots: Callable[[], Shots]
    stop: threading.Event
    live: bool = False
    fps: float | None = None
    """Frames a second, as the file or the driver says; None when nobody knows."""
    paced: bool = False
    """Whether to hold frames back to ``fps``, as a camera would."""
    dropped: dict[str, int] = field(default_factory=dict)
    """Reason to number of shots lost before they were frames; each used up an index."""
    on_loss: Callable[[Loss], None] | None = None
    """Told of each of them."""

    def __iter__(self) -> Iterator[Frame]:
        captured_ns = 0
        due = ticks(self.fps if self.paced else None, self.stop)
        with closing(self.shots()) as shots:
            for index, shot in enumerate(shots):
                if isinstance(shot, Lost):
                    self.dropped[shot.reason] = self.dropped.get(shot.reason, 0) + 1
                    if self.on_loss is not None:
                        self.on_loss(Loss(self.name, shot.name, index, shot.reason, shot.what))
                    if shot.what:
                        _log.warning("%s: %s", self.name, shot.what)
                    if self.stop.is_set():
                        return
                    continue
                if next(due, None) is None:
                    return
                captured_ns = max(captured_ns, shot.captured_ns or time.monotonic_ns())
                yield Frame(shot.pixels, index, captured_ns, self.name, shot.name)


def ticks(fps: float | None, stop: threading.Event) -> Iterator[int]:
    """Give 0, 1, 2, ... at ``fps`` a second, or at once without it, until ``stop`` is set.

    Tick ``k`` is due ``k / fps`` seconds after the first: the schedule never drifts. Whoever comes
    late gets the newest tick that is due, and the older ones never: a camera does not catch up.
    """
    tick, start = 0, time.monotonic()
    while not stop.is_set():
        if fps:
            late = (time.monotonic() - start) * fps
            tick = max(tick, int(late))
            if tick > late and stop.wait((tick - late) / fps):
                return
        yield tick
        tick += 1
