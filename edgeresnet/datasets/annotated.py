"""Pictures with the boxes of what is on them, and what was wrong with those boxes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeresnet.core.errors import UsageError

TOLERANCE_PX = 0.1
"""How far a box may reach over the edge before it counts: files hold rounded numbers."""


class Fault(str, Enum):
    """What can be wrong with annotations; the values are the keys of the report."""

    BOX_CUT = "box_cut"
    """Partly outside the picture: cut at its edge."""
    BOX_OUTSIDE = "box_outside"
    """Wholly outside the picture: left out, as are the boxes of the next four."""
    ZERO_AREA = "zero_area"
    NEGATIVE_SIZE = "negative_size"
    NOT_FINITE = "not_finite"
    MALFORMED = "malformed"
    """Not the fields, or not of the types, that the format asks for: that entry left out."""
    DUPLICATE_BOX = "duplicate_box"
    """Same place and class on the same picture: one is kept."""
    DUPLICATE_ID = "duplicate_id"
    """Of an annotation: both are kept. Of a picture or class: the first is."""
    DUPLICATE_PICTURE = "duplicate_picture"
    """One picture file under two entries: it counts once, with the boxes of both."""
    UNKNOWN_CLASS = "unknown_class"
    """No class of the network, or none that the file declares: its boxes left out."""
    UNKNOWN_PICTURE = "unknown_picture"
    """A box on a picture that the file does not declare: left out."""
    WRONG_SIZE = "wrong_size"
    """Width and height are not the picture's: the boxes are taken as pixels of the picture."""
    MISSING_PICTURE = "missing_picture"
    """Left out, as are the pictures of the next three."""
    UNREADABLE_PICTURE = "unreadable_picture"
    MISSING_FILE = "missing_file"
    """A picture without annotation file."""
    BROKEN_FILE = "broken_file"

    @property
    def words(self) -> str:
        """The same for people."""
        return self.value.replace("_", " ")


@dataclass
class Faults:
    """How often each fault was found, and where first.

    ``strict``: the first one is an error.
    """

    strict: bool = False
    counts: dict[Fault, int] = field(default_factory=dict)
    first: dict[Fault, str] = field(default_factory=dict)

    def add(self, fault: Fault, where: str) -> None:
        """Count one fault."""
        if self.strict:
            raise UsageError(
                f"annotations: {fault.words}: {where}",
                hint="without --strict such faults are mended or left out, and counted",
            )
        self.counts[fault] = self.counts.get(fault, 0) + 1
        self.first.setdefault(fault, where)

    def as_json(self) -> dict[str, Any]:
        """``{"zero_area": {"count": 2, "first": "…"}}``, in the order of :class:`Fault`."""
        return {
            fault.value: {"count": self.counts[fault], "first": self.first[fault]}
            for fault in Fault
            if fault in self.counts
        }


@dataclass(frozen=True, eq=False)
class Annotated:
    """One picture file and its ``n`` boxes.

    ``boxes`` (n, 4): left, top, right, bottom in pixels of the picture, edges and not centres, so
    that a box of the whole picture ends at its width and height. ``crowd`` (n,): many things in one
    box; ``difficult`` (n,): hardly to be seen; a detector is neither blamed nor praised for both.
    """

    path: Path
    size: tuple[int, int]
    """Width and height of the picture."""
    boxes: npt.NDArray[np.float32]
    class_ids: npt.NDArray[np.int64]
    crowd: npt.NDArray[np.bool_]
    difficult: npt.NDArray[np.bool_]

    @property
    def counted(self) -> npt.NDArray[np.bool_]:
        """(n,): whether each is to be found, being neither a crowd nor difficult."""
        return np.asarray(~(self.crowd | self.difficult))

    def __post_init__(self) -> None:
        n = len(self.class_ids)
        if self.boxes.shape != (n, 4) or not len(self.crowd) == len(self.difficult) == n:
            raise ValueError(
                f"annotations disagree: boxes {self.boxes.shape}, class_ids {n}, "
                f"crowd {len(self.crowd)}, difficult {len(self.difficult)}"
            )


@dataclass(frozen=True)
class AnnotatedSet:
    """Annotated pictures in the order of their file; ``class_ids`` index ``classes``."""

    origin: Path
    classes: tuple[str, ...]
    pictures: tuple[Annotated, ...]
    faults: Faults


@dataclass(frozen=True)
class Box:
    """One annotation as a file says it, before anything is checked."""

    xyxy: tuple[float, float, float, float]
    class_id: int
    where: str
    """For the report: the file and which of its entries."""
    crowd: bool = False
    difficult: bool = False


def need_boxes(pictures: Iterable[Annotated], which: str) -> None:
    """Raise UsageError where there is nothing to be found; ``which`` pictures those are."""
    seen = list(pictures)
    if any(picture.counted.any() for picture in seen):
        return
    aside = sum(len(picture.boxes) for picture in seen)
    found = f"all {aside} boxes are crowd or difficult" if aside else "no box"
    raise UsageError(
        f"--annotations: {found} on the pictures {which}: nothing to be found",
        hint="boxes of the network's classes count, on readable pictures, not crowd or difficult",
    )


def each_once(
    found: Iterable[tuple[Path, tuple[int, int], list[Box]]], faults: Faults
) -> tuple[Annotated, ...]:
    """Each picture file once, of its path, size and boxes; those of two entries put together."""
    files: dict[Path, tuple[Path, tuple[int, int], list[Box]]] = {}
    for path, size, boxes in found:
        real = path.resolve()
        if real in files:
            faults.add(Fault.DUPLICATE_PICTURE, path.name)
            files[real][2].extend(boxes)
        else:
            files[real] = path, size, list(boxes)
    return tuple(annotated(*entry, faults) for entry in files.values())


def annotated(path: Path, size: tuple[int, int], boxes: Iterable[Box], faults: Faults) -> Annotated:
    """The picture with those boxes that are sound, the others mended or left out, and counted."""
    kept: dict[tuple[object, ...], Box] = {}
    for box in boxes:
        xyxy = _mended(box, size, faults)
        if xyxy is None:
            continue
        key = (*xyxy, box.class_id, box.crowd)
        if key in kept:
            faults.add(Fault.DUPLICATE_BOX, box.where)
            continue
        kept[key] = Box(xyxy, box.class_id, box.where, box.crowd, box.difficult)
    return from_boxes(path, size, tuple(kept.values()))


def from_boxes(path: Path, size: tuple[int, int], boxes: Sequence[Box]) -> Annotated:
    """The picture with these boxes, as they are."""
    return Annotated(
        path,
        size,
        np.array([box.xyxy for box in boxes], np.float32).reshape(-1, 4),
        np.array([box.class_id for box in boxes], np.int64),
        np.array([box.crowd for box in boxes], np.bool_),
        np.array([box.difficult for box in boxes], np.bool_),
    )


def _mended(
    box: Box, size: tuple[int, int], faults: Faults
) -> tuple[float, float, float, float] | None:
    x0, y0, x1, y1 = box.xyxy
    width, height = size
    where = f"{box.where}: {', '.join(f'{v:g}' for v in box.xyxy)}"
    if not all(math.isfinite(v) for v in box.xyxy):
        faults.add(Fault.NOT_FINITE, where)
    elif x1 < x0 or y1 < y0:
        faults.add(Fault.NEGATIVE_SIZE, where)
    elif x1 == x0 or y1 == y0:
        faults.add(Fault.ZERO_AREA, where)
    elif x0 >= width or y0 >= height or x1 <= 0 or y1 <= 0:
        faults.add(Fault.BOX_OUTSIDE, f"{where} of a picture of {width} x {height}")
    else:
        over = max(-x0, -y0, x1 - width, y1 - height)
        if over > TOLERANCE_PX:
            faults.add(Fault.BOX_CUT, f"{where} of a picture of {width} x {height}")
        return max(x0, 0.0), max(y0, 0.0), min(x1, float(width)), min(y1, float(height))
    return None
