"""The delivery thread of a sink: what waits in its spool goes to the receiver, in order."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from typing import ClassVar, Protocol

from edgeresnet.core.backoff import Backoff
from edgeresnet.core.frames import Frame
from edgeresnet.core.predictions import Prediction
from edgeresnet.core.status import SinkStatus
from edgeresnet.sinks.event import Stamp
from edgeresnet.sinks.options import Options
from edgeresnet.sinks.spool import Spool
from edgeresnet.sinks.spool_file import Event
from edgeresnet.sinks.trouble import Trouble

SCALE = 1.0
"""Shortens every wait, for tests."""
FLUSH_S = 2.0
"""What may be delivered at the end of a run is, within this time."""
_GOODBYE_S = 0.5
"""Of which this is kept for the last words."""
_BREAKER = 5
"""Failures in a row, before the sink is failing."""
_IDLE_S = 0.1

_log = logging.getLogger("edgeresnet")


class Carrier(Protocol):
    """A way to the receiver. Its one method runs on the delivery thread."""

    @property
    def name(self) -> str:
        """Where it goes, free of credentials."""
        ...

    def work(self, box: Outbox) -> None:
        """Connect and deliver what ``box`` has until it is over, or raise trouble."""
        ...


class Outbox:
    """The sink: predictions become events, wait in ``spool`` and are delivered by ``carrier``."""

    pixels: ClassVar[bool] = False

    def __init__(self, carrier: Carrier, spool: Spool, stamp: Stamp, every_s: float = 0.0) -> None:
        self._carrier, self._spool, self._stamp = carrier, spool, stamp
        self._every_ns, self._next_ns = int(every_s * 1e9), dict[str, int]()
        self._backoff = Backoff(scale=SCALE)
        self._lock = threading.Lock()
        self._failures = self._errors = 0
        self._state: tuple[str, str] = ("", "")  # word and line
        self._slow = False
        self._ending, self._deadline = threading.Event(), math.inf
        self._thread = threading.Thread(
            target=self._work, name=f"out-{carrier.name[:11]}", daemon=True
        )
        self._thread.start()

    def put(self, frame: Frame, prediction: Prediction) -> None:
        """Accept a prediction, unless its source had one too lately."""
        if self._every_ns:
            if frame.captured_ns < self._next_ns.get(frame.source, frame.captured_ns):
                return
            self._next_ns[frame.source] = frame.captured_ns + self._every_ns
        event_id, body = self._stamp.event(frame, prediction)
        self._spool.put(event_id, frame.source, body)

    def delivery(self) -> SinkStatus:
        """How it is doing, from any thread: ``accepted`` counts what an earlier run had left."""
        status = self._spool.status(self._carrier.name)
        with self._lock:
            status = replace(status, errors=self._errors)
            if not self._failures:
                return status
            failing = self._slow or self._failures >= _BREAKER or status.state == "failing"
            reason = "; ".join(filter(None, (": ".join(self._state), status.reason)))
            return replace(status, state="failing" if failing else "ok", reason=reason)

    def close(self) -> None:
        """Deliver what can be in two seconds; the rest stays. A second time does nothing."""
        if not self._ending.is_set():
            self._deadline = time.monotonic() + FLUSH_S
            self._ending.set()
        self._thread.join(max(0, self._deadline - time.monotonic()))
        self._spool.close()

    # what follows is for the carrier, on the delivery thread

    @property
    def uid(self) -> str:
        """Of this outbox alone, on any machine; stays over restarts."""
        return self._spool.uid

    @property
    def left_s(self) -> float:
        """Seconds until the end; infinite while the run goes on."""
        return self._deadline - time.monotonic()

    @property
    def over(self) -> bool:
        """Whether to say goodbye: the run ends, and all is delivered or time is short."""
        return self._ending.is_set() and (self.left_s <= _GOODBYE_S or not self.waiting)

    @property
    def waiting(self) -> int:
        """How many events are not delivered."""
        return self._spool.status("").waiting

    def take(self, most: int) -> list[Event]:
        """The next events, at most ``most``; each once on one connection."""
        return self._spool.take(most)

    def put_back(self) -> None:
        """Have what was taken and not delivered taken again."""
        self._spool.put_back()

    def wait(self) -> None:
        """Until there may be something to take, or for a moment."""
        self._spool.wait(_IDLE_S)

    def delivered(self, event: Event) -> None:
        """The receiver has it."""
        self._spool.done(event)
        self._backoff.failures = 0
        self.works()

    def rejected(self, event: Event) -> None:
        """The receiver will never take it."""
        self._spool.done(event, dropped="rejected")
        self.works()

    def works(self) -> None:
        """The receiver answers as it should."""
        with self._lock:
            if not self._failures:
                return
            self._failures, self._slow, self._state = 0, False, ("", "")
        _log.warning("sink %s: works again", self._carrier.name)

    # the thread

    def _work(self) -> None:
        last = False
        while True:
            began = time.monotonic()
            try:
                self._carrier.work(self)
            except Trouble as trouble:
                wait_s, slow = self._failed(trouble, began), trouble.slow
            except Exception as error:  # noqa: BLE001  of a library: counted, said, tried again
                unknown = Trouble("error", f"{type(error).__name__}: {error}")
                wait_s, slow = self._failed(unknown, began), False
            else:
                return
            if self._ending.wait(wait_s):
                if last or slow or self.over:
                    return
                last = True

    def _failed(self, trouble: Trouble, began: float) -> float:
        """Count it, say what is new, and how long to wait."""
        self._spool.put_back()
        wait_s = self._backoff.failed(after_s=time.monotonic() - began, slow=trouble.slow)
        if trouble.wait_s is not None:
            wait_s = max(trouble.wait_s, SCALE)
        with self._lock:
            self._errors += 1
            self._failures += 1
            known, self._state = self._state, (trouble.reason, trouble.what)
            self._slow = trouble.slow
            failures = self._failures
        if known[0] != trouble.reason:
            _log.warning("sink %s: %s: %s", self._carrier.name, trouble.reason, trouble.what)
        if failures == _BREAKER:
            _log.warning("sink %s: keeps failing; tried now and then", self._carrier.name)
        return wait_s


@contextmanager
def outbox(carrier: Carrier, model: str, name: str, options: Options) -> Generator[Outbox]:
    """A sink that delivers by ``carrier`` what waits in the spool ``name``."""
    limit_bytes = max(1, int(options.spool_mb * 1e6))
    box = Outbox(carrier, Spool(name, limit_bytes, options.full), Stamp(model), options.every)
    try:
        yield box
    finally:
        box.close()
