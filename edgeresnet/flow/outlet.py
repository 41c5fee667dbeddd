"""A sink on a thread of its own: slow or broken, it hurts nobody else."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from dataclasses import replace

from edgeresnet.core.backoff import Backoff
from edgeresnet.core.errors import EdgeError
from edgeresnet.core.frames import Frame
from edgeresnet.core.predictions import Prediction
from edgeresnet.core.protocols import Sink
from edgeresnet.core.secrets import redact
from edgeresnet.core.status import SinkStatus

PICTURES, FACTS = 4, 256
"""Places in the queue of a sink that wants pixels, and of one that does not."""
_FAILURES = 5
"""In a row, before a live run's sink is left alone for a while."""
_FLUSH_S, _STOP_CHECK_S = 2.5, 0.1
"""What a sink of a live run, or of one that is stopped, gets to finish in."""

_log = logging.getLogger("edgeresnet")


class Outlet:
    """One sink with its queue, its thread and its breaker.

    In a run that loses nothing (files), whoever puts waits for room, and a sink that raises is
    given nothing more: ``error`` says why. In a live run the oldest waiting prediction makes room,
    and a sink that raises is tried again, after a while when it keeps failing.
    """

    def __init__(
        self,
        name: str,
        sink: Sink,
        *,
        live: bool,
        stop: threading.Event | None = None,
        scale: float = 1.0,
    ) -> None:
        self.name = name
        self.pixels: bool = getattr(sink, "pixels", True)
        """Whether it looks at the pixels."""
        self.error: BaseException | None = None
        """Why it is given nothing more."""
        self.left_behind: object = None
        """Kept as long as the thread hangs: the sink, which nobody may close meanwhile."""
        self._sink, self._live = sink, live
        self._stop = stop or threading.Event()
        self._room = PICTURES if self.pixels else FACTS
        self._waiting: deque[tuple[Frame, Prediction]] = deque()
        self._changed = threading.Condition()
        self._accepted = self._delivered = self._errors = self._busy = 0
        self._dropped: dict[str, int] = {}
        self._failures, self._reason, self._retry_at = 0, "", 0.0
        self._backoff = Backoff(scale=scale)
        self._ending = False
        self._thread = threading.Thread(target=self._work, name=f"sink-{name[:12]}", daemon=True)
        self._thread.start()

    def put(self, frame: Frame, prediction: Prediction) -> None:
        """Hand over one prediction; raises nothing, and waits only in a run that loses nothing."""
        with self._changed:
            self._accepted += 1
            while not (self._live or self._roomy() or self._stop.is_set()):
                self._changed.wait(_STOP_CHECK_S)
            if self.error is not None:
                self._drop("failed")
                return
            if len(self._waiting) >= self._room:
                self._waiting.popleft()
                self._drop("queue_full")
            self._waiting.append((frame, prediction))
            self._changed.notify_all()

    def end(self) -> bool:
        """Have the sink take what is waiting; whether it did in time.

        In a run that loses nothing it has all the time it needs, until the run is stopped.
        """
        with self._changed:
            self._ending = True
            self._changed.notify_all()
        left_s = _FLUSH_S
        while self._thread.is_alive() and left_s > 0:
            self._thread.join(_STOP_CHECK_S)
            if self._live or self._stop.is_set():
                left_s -= _STOP_CHECK_S
        return not self._thread.is_alive()

    def _roomy(self) -> bool:
        return len(self._waiting) < self._room or self.error is not None

    def status(self) -> SinkStatus:
        """What became of all that was put; from any thread."""
        delivery = getattr(self._sink, "delivery", None)
        with self._changed:
            waiting = len(self._waiting) + self._busy
            mine = SinkStatus(
                self.name,
                "failing" if self._reason else "ok",
                self._reason,
                self._accepted,
                self._delivered,
                waiting,
                dict(self._dropped),
                self._errors,
            )
        if delivery is None:
            return mine
        theirs: SinkStatus = delivery()
        return replace(
            theirs,
            name=self.name,
            state="failing" if self._reason else theirs.state,
            reason=self._reason or theirs.reason,
            accepted=theirs.accepted + waiting + sum(mine.dropped.values()),
            waiting=theirs.waiting + waiting,
            dropped={**mine.dropped, **theirs.dropped},
            errors=mine.errors + theirs.errors,
        )

    def _drop(self, reason: str) -> None:
        self._dropped[reason] = self._dropped.get(reason, 0) + 1

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._ending)
                if not self._waiting:
                    return
                frame, prediction = self._waiting.popleft()
                if self.error is not None or time.monotonic() < self._retry_at:
                    self._drop("failed")
                    continue
                self._busy = 1
                self._changed.notify_all()
            error: BaseException | None = None
            try:
                self._sink.put(frame, prediction)
            except BaseException as caught:  # noqa: BLE001  counted, and said by whoever ends it
                error = caught
            del frame, prediction  # a ring's slot must not wait for the next one
            with self._changed:
                self._busy = 0
                if error is None:
                    self._delivered += 1
                    self._recover()
                else:
                    self._fail(error)
                self._changed.notify_all()

    def _recover(self) -> None:
        if self._failures:
            _log.warning("sink %s: works again", self.name)
        self._failures, self._reason = 0, ""
        self._backoff.failures = 0

    def _fail(self, error: BaseException) -> None:
        self._errors += 1
        self._drop("failed")
        self._failures += 1
        what = error.what if isinstance(error, EdgeError) else f"{type(error).__name__}: {error}"
        self._reason = redact(what)
        if not self._live or isinstance(error, BrokenPipeError):
            self.error = error  # nobody reads any more, or nothing may be lost
            return
        if self._failures == 1:
            _log.warning("sink %s: %s", self.name, self._reason)
        if self._failures >= _FAILURES:
            wait_s = self._backoff.failed()
            self._retry_at = time.monotonic() + wait_s
            if self._failures == _FAILURES:
                _log.warning("sink %s: keeps failing; tried now and then", self.name)
