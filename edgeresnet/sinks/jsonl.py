"""``jsonl:PATH`` or ``jsonl:-``: one JSON object a line, easy to append to and to follow."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import ClassVar

from edgeresnet.core.frames import Frame
from edgeresnet.core.predictions import Prediction
from edgeresnet.sinks import Terms
from edgeresnet.sinks.lines import Lines
from edgeresnet.sinks.records import WallClock, record


@dataclass(frozen=True)
class JsonlSink:
    """Writes a :class:`~edgeresnet.sinks.records.PredictionLine` for each prediction."""

    pixels: ClassVar[bool] = False
    lines: Lines
    model: str
    clock: WallClock

    def put(self, frame: Frame, prediction: Prediction) -> None:
        """Write one line."""
        line = record(frame, prediction, self.model, self.clock)
        self.lines.write(
            json.dumps(line, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        )

    def close(self) -> None:
        """Close the file."""
        self.lines.close()


@contextmanager
def open_place(place: str, terms: Terms) -> Generator[JsonlSink]:
    """Append to the file ``place``; ``-`` is the standard output."""
    with closing(JsonlSink(Lines(place), terms.model, WallClock.now())) as sink:
        yield sink
