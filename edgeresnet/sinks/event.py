"""The event: a prediction line on its way to a receiver who may get it twice."""

from __future__ import annotations

import ctypes
import itertools
import json
import time
import uuid
from pathlib import Path

from edgeresnet.core.frames import Frame
from edgeresnet.core.predictions import Prediction
from edgeresnet.sinks.records import PredictionLine, WallClock, record

_CACHED_S = 5.0
_TIMEX_BYTES = 512  # more than struct timex has on any machine
_TIME_ERROR = 5


class EventLine(PredictionLine):
    """What ``mqtt:`` publishes and ``webhook:`` posts."""

    event_id: str
    """The same each time the event is sent, and of no other event of any machine."""
    clock_synced: bool | None
    """Whether the kernel held its clock for right; None where it does not say."""
    boot_id: str | None
    """Of the machine's uptime in which ``captured_ns`` counts."""


def clock_synced() -> bool | None:
    """Whether somebody (NTP, GPS) keeps this machine's clock right, as Linux knows it."""
    try:
        adjtimex = ctypes.CDLL(None, use_errno=True).adjtimex
    except (AttributeError, OSError, TypeError):  # not Linux
        return None
    state = adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))  # all zero: only asks
    return None if state < 0 else bool(state != _TIME_ERROR)


def _boot_id() -> str | None:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip() or None
    except OSError:
        return None


class Stamp:
    """Makes the events of one run; one thread at a time."""

    def __init__(self, model: str) -> None:
        self._model, self._clock = model, WallClock.now()
        self._run, self._count = uuid.uuid4().hex, itertools.count()
        self._boot_id = _boot_id()
        self._synced, self._asked_at = clock_synced(), time.monotonic()

    def event(self, frame: Frame, prediction: Prediction) -> tuple[str, bytes]:
        """The id and the JSON of one event: an :class:`EventLine`."""
        now = time.monotonic()
        if now - self._asked_at >= _CACHED_S:
            self._synced, self._asked_at = clock_synced(), now
        line = record(frame, prediction, self._model, self._clock)
        line["event_id"] = f"{self._run}-{next(self._count)}"
        line["clock_synced"] = self._synced
        line["boot_id"] = self._boot_id
        text = json.dumps(line, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return line["event_id"], text.encode("utf-8", "backslashreplace")
