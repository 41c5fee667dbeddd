"""Frames of all sources of a run, in fair turns, each counted as it comes."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

from edgeresnet.core.errors import EdgeError
from edgeresnet.core.frames import Frame
from edgeresnet.core.protocols import FrameSource
from edgeresnet.flow.counters import Counters
from edgeresnet.flow.mailboxes import Mailboxes
from edgeresnet.sources.shots import ticks

_HANGS_S = 2.0
"""A capture thread that takes longer to end is left behind: drivers hang, and runs must end."""

_log = logging.getLogger("edgeresnet")


@dataclass(frozen=True, eq=False)
class Feed:
    """One source of a run and its counts."""

    source: FrameSource
    counters: Counters = field(default_factory=Counters)

    @property
    def name(self) -> str:
        """The source's name."""
        return str(getattr(self.source, "name", ""))


Taken: TypeAlias = tuple[Feed, Frame, int]
"""A frame, where it is from, and the nanoseconds that reading it took; 0 of a live source, which
is waited for and decoded elsewhere."""


class Rate:
    """At most ``fps`` a second from the first on; without it, all.

    A schedule, not a least distance: frames that come as often as they may, but not evenly, pass.
    """

    def __init__(self, fps: float | None) -> None:
        self._period_s = 1 / fps if fps else 0.0
        self._earliest_s: float | None = None

    def allows(self, now_s: float) -> bool:
        """Whether a frame may pass now."""
        earliest_s = now_s if self._earliest_s is None else self._earliest_s
        if now_s < earliest_s:
            return False
        self._earliest_s = max(earliest_s + self._period_s, now_s)
        return True


class Intake:
    """Where workers take their next frame; one at a time.

    Live sources are captured on a thread each and give only their newest frame; files are read
    by whoever takes. A source that fails ends, and the others go on; what it raised is raised
    when there is none left.
    """

    def __init__(
        self,
        feeds: Sequence[Feed],
        *,
        fps: float | None,
        frames: int | None,
        stop: threading.Event,
        leaving: threading.Event,
    ) -> None:
        self._feeds, self._fps = feeds, fps
        self._stop, self._leaving = stop, leaving
        self._left, self._counting = frames, threading.Lock()
        self._enough = threading.Event()
        self._live = [feed for feed in feeds if feed.source.live]
        self._files = [(feed, self._captured(feed)) for feed in feeds if not feed.source.live]
        self._boxes: Mailboxes[Taken] = Mailboxes(len(self._live))
        self._turn = 0
        self._failures: list[BaseException] = []

    def __iter__(self) -> Iterator[Taken]:
        while not self._stop.is_set() and (taken := self._next()) is not None:
            yield taken
        if self._failures and not (self._stop.is_set() or self._enough.is_set()):
            raise self._failures[0]

    @contextmanager
    def capturing(self) -> Generator[None]:
        """Capture live sources while the block runs."""
        threads = [
            threading.Thread(target=self._capture, args=(box, feed), name="capture", daemon=True)
            for box, feed in enumerate(self._live)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._leaving.set()
            for feed in self._live:
                getattr(feed.source, "close", lambda: None)()  # ends its wait for a frame
            end = time.monotonic() + _HANGS_S
            for thread in threads:
                thread.join(max(0.0, end - time.monotonic()))

    def _next(self) -> Taken | None:
        """The next in turn: the live sources together have one turn among the files."""
        while self._files:
            self._turn = (self._turn + 1) % (len(self._files) + bool(self._live))
            if self._turn == len(self._files):
                taken = self._boxes.take(wait=False)
                if taken is not None:
                    return taken
                continue
            feed, frames = self._files[self._turn]
            try:
                frame, decode_ns = next(frames)
            except StopIteration:
                self._files.pop(self._turn)
            except BaseException as error:  # noqa: BLE001  raised when no other source is left
                self._files.pop(self._turn)
                self._fail(feed, error)
            else:
                if self._left is not None and self._left <= 0:
                    self._enough.set()
                return feed, frame, decode_ns
        if not self._live:
            return None
        return self._boxes.take(self._stop, self._leaving, self._enough)

    def _captured(self, feed: Feed) -> Iterator[tuple[Frame, int]]:
        """Frames as they come; a file's at the pace of the policy, waiting before one is taken.

        Waiting after it would make the frame old before anyone has looked at it.
        """
        iterator = iter(feed.source)
        due = ticks(None if feed.source.live else self._fps, self._stop)
        while next(due, None) is not None and (self._left is None or self._left > 0):
            start = time.perf_counter_ns()
            try:
                frame = next(iterator)
            except StopIteration:
                return
            if not self._one_more():
                return
            feed.counters.capture()
            yield frame, 0 if feed.source.live else time.perf_counter_ns() - start

    def _one_more(self) -> bool:
        """Whether this frame is still one of those that the run is for."""
        with self._counting:
            if self._left is None:
                return True
            self._left -= self._left > -1
            return self._left >= 0

    def _capture(self, box: int, feed: Feed) -> None:
        """Put frame after frame of a live source into its box."""
        rate = Rate(self._fps)
        try:
            for frame, decode_ns in self._captured(feed):
                if self._leaving.is_set():
                    return
                if not rate.allows(time.monotonic()):
                    feed.counters.drop("rate")
                elif self._boxes.put(box, (feed, frame, decode_ns)) is not None:
                    feed.counters.drop("newer")
                if self._left is not None and self._left <= 0:
                    self._enough.set()  # other sources may give nothing for ever
        except BaseException as error:  # noqa: BLE001  raised when no other source is left
            self._fail(feed, error)
        finally:
            self._boxes.close(box)

    def _fail(self, feed: Feed, error: BaseException) -> None:
        self._failures.append(error)
        if len(self._feeds) > 1:
            what = error.what if isinstance(error, EdgeError) else repr(error)
            _log.warning("%s: %s; the other sources go on", feed.name, what)
