"""The prediction line: what is said about one frame, as JSON."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any, Literal

from pydantic import AwareDatetime, Field, model_validator

from edgeresnet.core.frames import Frame
from edgeresnet.core.predictions import NOT_TRACKED, Classification, Detections, Prediction
from edgeresnet.core.schema import Schema

SCHEMA = 1
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_STEP_NS = 10_000_000
"""A smaller change of the wall clock is the measure's own error, or will be a step some day."""
_AT_ONCE_NS = 1_000_000


class LabelEntry(Schema):
    """One class, best first in its list."""

    class_id: int = Field(ge=0)
    name: str
    score: float = Field(ge=0, le=1)


class BoxEntry(LabelEntry):
    """One detected thing."""

    xyxy: tuple[float, float, float, float]
    """Left, top, right, bottom in pixels of the frame."""
    track_id: int | None = None
    """The same for the same thing in later frames of its source; left out when nobody knows."""


class PredictionLine(Schema):
    """One line of ``jsonl:``; what other programs may rely on."""

    schema_version: Literal[1] = Field(alias="schema")
    source: str
    frame: int = Field(ge=0)
    name: str | None = None
    """The picture's file, when each frame has its own."""
    captured_at: AwareDatetime
    """UTC, by the wall clock as it was when the line was written."""
    captured_ns: int
    """The monotonic clock of the machine: compare lines with it, not with ``captured_at``."""
    age_ms: float = Field(ge=0)
    """From capture to this line."""
    size: tuple[int, int]
    """Width and height of the frame in pixels."""
    model: str
    labels: tuple[LabelEntry, ...] | None = None
    boxes: tuple[BoxEntry, ...] | None = None
    embedding: tuple[float, ...] | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> PredictionLine:
        if [self.labels, self.boxes, self.embedding].count(None) != 2:
            raise ValueError("either labels or boxes or an embedding")
        return self


def _measured() -> int:
    """Nanoseconds from the monotonic to the wall clock."""
    for _ in range(3):
        before = time.monotonic_ns()
        now = time.time_ns()
        after = time.monotonic_ns()
        if after - before < _AT_ONCE_NS:  # else another program ran in between
            break
    return now - (before + after) // 2


class WallClock:
    """Monotonic times as UTC, by the wall clock as it is when asked.

    A device without a clock of its own starts in 1970 and is set later: a step of the wall clock
    is followed. Between steps one offset serves, so that the intervals are the true ones.
    """

    def __init__(self, offset_ns: Callable[[], int] = _measured) -> None:
        self._measure = offset_ns
        self._offset_ns = offset_ns()

    @staticmethod
    def now() -> WallClock:
        """The clock of this machine."""
        return WallClock()

    def utc(self, monotonic_ns: int) -> str:
        """``2026-01-31T12:00:00.123Z``."""
        offset_ns = self._measure()
        if abs(offset_ns - self._offset_ns) >= _STEP_NS:
            self._offset_ns = offset_ns
        moment = _EPOCH + timedelta(microseconds=(monotonic_ns + self._offset_ns) // 1000)
        return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def record(frame: Frame, prediction: Prediction, model: str, clock: WallClock) -> dict[str, Any]:
    """A :class:`PredictionLine` as plain lists, numbers and strings.

    Written at camera rate, so built without the schema; the tests hold the two together.
    """
    line: dict[str, Any] = {"schema": SCHEMA, "source": frame.source, "frame": frame.index}
    if frame.name:
        line["name"] = frame.name
    line["captured_at"] = clock.utc(frame.captured_ns)
    line["captured_ns"] = frame.captured_ns
    line["age_ms"] = round(max(0, time.monotonic_ns() - frame.captured_ns) / 1e6, 1)
    line["size"] = [frame.width, frame.height]
    line["model"] = model
    if isinstance(prediction, Classification):
        line["labels"] = [
            _entry(label.class_id, label.name, label.score) for label in prediction.labels
        ]
    elif isinstance(prediction, Detections):
        line["boxes"] = list(_boxes(prediction))
    else:
        line["embedding"] = [round(value, 6) for value in prediction.vector.tolist()]
    return line


def _boxes(found: Detections) -> Iterator[dict[str, Any]]:
    for name, score, class_id, xyxy, track_id in zip(
        found.names,
        found.scores.tolist(),
        found.class_ids.tolist(),
        found.xyxy.tolist(),
        found.track_ids.tolist(),
        strict=True,
    ):
        entry = _entry(class_id, name, score)
        entry["xyxy"] = [round(side, 2) for side in xyxy]
        if track_id != NOT_TRACKED:
            entry["track_id"] = track_id
        yield entry


def _entry(class_id: int, name: str, score: float) -> dict[str, Any]:
    return {"class_id": int(class_id), "name": name, "score": round(float(score), 6)}
