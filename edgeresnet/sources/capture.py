"""A live source: frames from a capture child that is watched, ended and started again.

Drivers and decoders can hang for ever and ignore signals; here nothing waits for them. The age of
the newest frame is watched on the monotonic clock. A child that says what went wrong is told to
connect again after a while; one that hangs or crashes is killed and replaced.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, suppress
from select import POLLIN, poll
from typing import Any

import numpy as np

from edgeresnet.core.backoff import Backoff
from edgeresnet.core.frames import Frame
from edgeresnet.core.secrets import redact
from edgeresnet.core.status import SourceHealth, SourceState
from edgeresnet.core.tensors import Pixels
from edgeresnet.sources.fault import Fault
from edgeresnet.sources.grab import Order
from edgeresnet.sources.patience import Patience
from edgeresnet.sources.spawned import Child
from edgeresnet.sources.terms import Terms

_STOP_CHECK_S = 0.1
_CRASHES, _CRASHES_S = 5, 60.0
"""So many crashes in so short a time take the slow rung."""
_SAMPLES = 32
_LATE_NS = 10_000_000_000

_log = logging.getLogger("edgeresnet")


@contextmanager
def captured(
    order: Order, name: str, terms: Terms, *, fps: float | None = None
) -> Generator[CaptureSource]:
    """Start the child at once, which takes a moment; leaving the context ends it."""
    with closing(CaptureSource(order, name, terms, fps=fps)) as source:
        source.start()
        yield source


class _Gone(Exception):  # noqa: N818  not an error: the source has come to its end
    """The source ended, as it was bound to, or was stopped."""


class CaptureSource:
    """Frames of one camera or stream, for as long as the run lasts."""

    live = True

    def __init__(self, order: Order, name: str, terms: Terms, *, fps: float | None = None) -> None:
        self.name = name
        self.fps = fps
        """Frames a second, as the source says; None until it does."""
        self.dropped: dict[str, int] = {}
        """Reason to shots that never were frames; each used up an index."""
        self._order, self._stop, self._patience = order, terms.stop, terms.patience
        self._backoff = Backoff(scale=terms.patience.backoff_scale)
        self._child: Child | None = None
        self._state: SourceState = "connecting"
        self._reason = self._detail = self._told = ""
        self._since = time.monotonic()
        self._attempts = self._reconnects = self._index = self._captured_ns = 0
        self._was_live = self._closed = self._iterating = False
        self._crashes: list[float] = []
        self._still = _Still(terms.patience)
        self._lock = threading.Lock()

    @property
    def child_pid(self) -> int | None:
        """Process id of the capture child, while there is one."""
        child = self._child
        return child.pid if child is not None else None

    def health(self) -> SourceHealth:
        """How it is doing; from any thread."""
        with self._lock:
            return SourceHealth(
                self._state,
                self._reason,
                self._detail,
                time.monotonic() - self._since,
                self._attempts,
                self._reconnects,
                self._still.frozen,
            )

    def start(self) -> None:
        """Start the child now, which takes a moment, so that it is there when frames are wanted."""
        if self._child is None:
            with suppress(OSError):  # tried again, and said, when frames are wanted
                self._child = Child(self._order)

    def close(self) -> None:
        """End the child, whatever it is doing, and the iteration with it."""
        self._closed = True
        if not self._iterating:
            self._kill()
        elif (child := self._child) is not None:
            child.end()  # whoever iterates still looks at its descriptors, and closes them

    def _kill(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()

    def _over(self, wait_s: float = 0.0) -> bool:
        """Whether this source is not wanted any more, now or before ``wait_s`` have passed."""
        end = time.monotonic() + wait_s
        while not (self._closed or self._stop.is_set()):
            if (left_s := end - time.monotonic()) <= 0:
                return False
            self._stop.wait(min(left_s, _STOP_CHECK_S))
        return True

    def __iter__(self) -> Iterator[Frame]:
        self._index, self._iterating = 0, True
        try:
            while not self._over():
                live_since = 0.0
                try:
                    for frame in self._connected():
                        live_since = live_since or time.monotonic()
                        yield frame
                except Fault as fault:
                    healthy_s = time.monotonic() - live_since if live_since else 0.0
                    self._fail(fault, healthy_s)
        except _Gone:
            self._enter("ended", self._reason, self._detail)
        finally:
            self._kill()
            self._iterating = False

    def _connected(self) -> Iterator[Frame]:
        """Connect once, and give frames until something goes wrong, which is a fault."""
        self._attempts += 1
        self._enter("connecting", self._reason, self._detail)
        child = self._order_child()
        limit_s, opened = self._patience.open_s, False
        heard = time.monotonic()
        while True:
            message = self._next(child, heard + limit_s, opened=opened)
            if message is None:
                continue
            if isinstance(message, tuple):
                heard = time.monotonic()
                limit_s = self._patience.between_frames_s(self.fps)
                if self._state != "live":
                    self._come_alive()
                yield self._frame(*message)
            elif "opened" in message:
                heard, opened = time.monotonic(), True
                self.fps = message.get("fps") or self.fps
                limit_s = self._patience.first_frame_s()
            elif "lost" in message:
                heard = time.monotonic() if message["lost"] == "overrun" else heard
                self._lose(str(message["lost"]), str(message["what"]))
                if time.monotonic() > heard + limit_s:  # nothing but losses
                    raise self._hung(opened=opened)
            elif "said" in message:
                _log.warning("%s: %s", self.name, redact(str(message["said"])))
            elif "ended" in message:
                raise _Gone
            else:
                hint = str(message.get("hint", ""))
                raise Fault(str(message["fault"]), str(message["what"]), hint=hint)

    def _order_child(self) -> Child:
        try:
            child = self._child = self._child or Child(self._order)
        except OSError as error:
            raise Fault("error", f"no capture process: {error.strerror or error}") from None
        try:
            child.connect()
        except OSError:
            raise self._crashed(child) from None
        return child

    def _next(
        self, child: Child, deadline: float, *, opened: bool
    ) -> tuple[Pixels, int] | dict[str, Any] | None:
        """The next message before ``deadline``; when there is none the child is replaced."""
        watched = poll()
        watched.register(child.link, POLLIN)
        child.attend()
        while not watched.poll(_STOP_CHECK_S * 1000):
            if self._over():
                raise _Gone
            if time.monotonic() > deadline:
                raise self._hung(opened=opened)
            child.attend()
        if self._over():
            raise _Gone
        try:
            return child.ring.receive()
        except (EOFError, ValueError, OSError):
            raise self._crashed(child) from None

    def _hung(self, *, opened: bool) -> Fault:
        """There was no frame for too long: the child is replaced, whatever else it says."""
        self._kill()
        if not opened:
            return Fault("timeout", f"no answer in {self._patience.open_s:g} s")
        return Fault("stalled", "connected, but no new frames")

    def _crashed(self, child: Child) -> Fault:
        """The child is gone: how it went, and how often that happened lately."""
        how = child.how_it_ends()
        self._kill()
        now = time.monotonic()
        self._crashes = [t for t in self._crashes if now - t < _CRASHES_S] + [now]
        return Fault("crashed", f"the capture process ended: {how}")

    def _frame(self, pixels: Pixels, captured_ns: int) -> Frame:
        now = time.monotonic_ns()
        if not now - _LATE_NS < captured_ns <= now:
            captured_ns = now
        self._captured_ns = captured_ns = max(self._captured_ns, captured_ns)
        if told := self._still.look(pixels):
            _log.warning("%s: %s", self.name, told)
        frame = Frame(pixels, self._index, captured_ns, self.name)
        self._index += 1
        return frame

    def _lose(self, reason: str, what: str) -> None:
        self.dropped[reason] = self.dropped.get(reason, 0) + 1
        self._index += 1
        if what:
            _log.warning("%s: %s", self.name, redact(what))

    def _come_alive(self) -> None:
        if self._told:
            _log.warning("%s: live again", self.name)
        self._reconnects += self._was_live
        self._was_live, self._told = True, ""
        self._enter("live")

    def _fail(self, fault: Fault, healthy_s: float) -> None:
        """Say it once a rung, then wait for the next try."""
        slow = fault.slow or (fault.reason == "crashed" and len(self._crashes) >= _CRASHES)
        wait_s = self._backoff.failed(after_s=healthy_s, slow=slow)
        told = f"{fault.reason} {self._backoff.taken_s}"
        stalled = fault.reason == "stalled"
        self._enter("stalled" if stalled else "backoff", fault.reason, redact(fault.what))
        if told != self._told:
            hint = f" ({fault.hint})" if fault.hint else ""
            what = redact(fault.what + hint)
            _log.warning("%s: %s; trying again in %.2g s", self.name, what, wait_s)
        self._told = told
        if self._over(wait_s):
            raise _Gone

    def _enter(self, state: SourceState, reason: str = "", detail: str = "") -> None:
        with self._lock:
            if state != self._state:
                self._since = time.monotonic()
            self._state, self._reason, self._detail = state, reason, detail


class _Still:
    """Whether the picture is the very same for long: real sensors are never that quiet."""

    def __init__(self, patience: Patience) -> None:
        self.frozen = False
        self._limit_s = patience.frozen_s
        self._seen: bytes = b""
        self._since = self._looked = time.monotonic()
        self._size: tuple[int, ...] = ()

    def look(self, pixels: Pixels) -> str:
        """Look at a frame, a few times a second; what to tell, or nothing."""
        now, told = time.monotonic(), ""
        if self._size and pixels.shape != self._size:
            (was_h, was_w, _), (height, width, _) = self._size, pixels.shape
            told = f"the size of the picture changed: {was_w}x{was_h}, now {width}x{height}"
        self._size = pixels.shape
        if not told and now - self._looked < min(0.2, self._limit_s / 4):
            return ""
        self._looked = now
        rows, columns = (max(1, side // _SAMPLES) for side in pixels.shape[:2])
        seen = np.ascontiguousarray(pixels[::rows, ::columns]).tobytes()
        if seen != self._seen:
            self._seen, self._since = seen, now
            if self.frozen:
                told = told or "the picture moves again"
            self.frozen = False
        elif not self.frozen and now - self._since > self._limit_s:
            self.frozen = True
            told = f"the picture has not changed for {self._limit_s:g} s"
        return told
