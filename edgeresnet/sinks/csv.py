"""``csv:PATH`` or ``csv:-``: one row for each label or box, for spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Generator, Iterable
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import ClassVar

from edgeresnet.core.errors import UsageError
from edgeresnet.core.frames import Frame
from edgeresnet.core.predictions import Embedding, Prediction
from edgeresnet.sinks import Terms
from edgeresnet.sinks.lines import Lines
from edgeresnet.sinks.records import WallClock, record

_FRAME = ("source", "frame", "file", "captured_at", "age_ms")
_ENTRY = ("rank", "class_id", "name", "score", "left", "top", "right", "bottom")
_BEFORE = ",".join(_FRAME + _ENTRY)
"""Of files that were begun before things were tracked; they go on without."""
HEADER = f"{_BEFORE},track_id"


@dataclass(frozen=True)
class CsvSink:
    """Writes rows under :data:`HEADER`; ``rank`` counts from 1, a label has no sides.

    A frame in which nothing was detected has no row. An embedding is refused: it has no rows.
    """

    pixels: ClassVar[bool] = False
    lines: Lines
    clock: WallClock
    tracks: bool
    """Whether there is a column for them."""

    def put(self, frame: Frame, prediction: Prediction) -> None:
        """Write the rows of one prediction."""
        if isinstance(prediction, Embedding):
            raise UsageError("csv: has no columns for an embedding", hint="use jsonl:PATH")
        line = record(frame, prediction, "", self.clock)
        shared = [line["source"], line["frame"], frame.name, line["captured_at"], line["age_ms"]]
        for rank, entry in enumerate(line.get("labels") or line.get("boxes") or (), 1):
            sides = entry.get("xyxy", [""] * 4)
            row = [rank, entry["class_id"], entry["name"], entry["score"], *sides]
            if self.tracks:
                row.append(entry.get("track_id", ""))
            self.lines.write(_row(shared + row))

    def close(self) -> None:
        """Close the file."""
        self.lines.close()


def _row(values: Iterable[object]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(values)
    return text.getvalue()


@contextmanager
def open_place(place: str, _terms: Terms) -> Generator[CsvSink]:
    """Append to the file ``place``, with a header when it is new; ``-`` is standard output."""
    with closing(Lines(place)) as lines:
        header = lines.first() or HEADER
        if lines.empty:
            lines.write(HEADER)
        elif header not in (HEADER, _BEFORE):
            raise UsageError(f"{place} has other columns than these", hint="name another file")
        yield CsvSink(lines, WallClock.now(), header == HEADER)
