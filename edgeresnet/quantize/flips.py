"""What INT8 says otherwise than float about one picture: a label, boxes or a vector."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from edgeresnet.core.boxes import SAME, iou_matrix
from edgeresnet.core.labels import Labels
from edgeresnet.core.predictions import Detections
from edgeresnet.datasets.annotated import Annotated
from edgeresnet.metrics.agreement import SURE, cosines, had, sure

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class LabelFlip:
    """A picture whose label INT8 changed."""

    path: Path
    float_class: int
    float_score: float
    int8_class: int
    int8_score: float
    truth: int | None

    def as_json(self, labels: Labels) -> dict[str, Any]:
        """For the report; scores are softmax probabilities."""

        def named(class_id: int) -> str:
            return labels.names[class_id] if class_id < len(labels.names) else str(class_id)

        return {
            "file": self.path.name,
            "float": {"label": named(self.float_class), "score": round(self.float_score, 4)},
            "int8": {"label": named(self.int8_class), "score": round(self.int8_score, 4)},
            "truth": None if self.truth is None else named(self.truth),
        }


@dataclass(frozen=True)
class Box:
    """One box of one side; ``right`` where it is known whether such a thing is there."""

    label: str
    class_id: int
    score: float
    xyxy: tuple[float, float, float, float]
    right: bool | None

    def as_json(self) -> dict[str, Any]:
        """For the report; pixels of the picture."""
        return {
            "label": self.label,
            "score": round(self.score, 4),
            "xyxy": [round(side, 1) for side in self.xyxy],
            "right": self.right,
        }


@dataclass(frozen=True)
class BoxChange:
    """What the two sides have of one thing; at least one of them is sure of it."""

    float: Box | None
    int8: Box | None

    @property
    def kind(self) -> str:
        """``lost`` or ``new`` where only one side is sure, else ``moved`` or ``renamed``."""
        if self.int8 is None or self.int8.score <= SURE:
            return "lost"
        if self.float is None or self.float.score <= SURE:
            return "new"
        return "moved" if self.float.class_id == self.int8.class_id else "renamed"

    def as_json(self) -> dict[str, Any]:
        """For the report."""
        sides = {"float": self.float, "int8": self.int8}
        told = {name: None if box is None else box.as_json() for name, box in sides.items()}
        return {"kind": self.kind, **told}


@dataclass(frozen=True, eq=False)
class BoxFlip:
    """A picture of which INT8 sees other boxes, the surest change first."""

    path: Path
    changes: tuple[BoxChange, ...]
    same: npt.NDArray[np.float32]
    """(n, 4): INT8's sure boxes that float has as well."""

    @property
    def score(self) -> float:
        """Of the surest box of all that changed."""
        return max(max(b.score for b in (c.float, c.int8) if b is not None) for c in self.changes)

    def as_json(self, labels: Labels) -> dict[str, Any]:  # noqa: ARG002  boxes have their names
        """For the report."""
        changes = [change.as_json() for change in self.changes]
        return {"file": self.path.name, "changes": changes, "same": len(self.same)}


@dataclass(frozen=True)
class Turn:
    """A picture whose vector INT8 turned, and how far: the cosine of the angle."""

    path: Path
    cosine: float

    def as_json(self, labels: Labels) -> dict[str, Any]:  # noqa: ARG002  vectors have none
        """For the report."""
        return {"file": self.path.name, "cosine": round(self.cosine, 5)}


Flip: TypeAlias = LabelFlip | BoxFlip | Turn


def label_flips(
    paths: Sequence[Path], exact: Floats, rounded: Floats, truth: Sequence[int] | None
) -> tuple[LabelFlip, ...]:
    """The pictures whose largest logit (pictures x classes) is another class's."""
    before, after = exact.argmax(1), rounded.argmax(1)
    return tuple(
        LabelFlip(
            paths[i],
            int(before[i]),
            _share(exact[i], before[i]),
            int(after[i]),
            _share(rounded[i], after[i]),
            None if truth is None or truth[i] < 0 else truth[i],
        )
        for i in np.flatnonzero(before != after).tolist()
    )


def turns(paths: Sequence[Path], exact: Floats, rounded: Floats) -> tuple[Turn, ...]:
    """Every picture, the one whose vector (pictures x length) turned most first."""
    found = cosines(exact, rounded)
    return tuple(Turn(paths[i], float(found[i])) for i in np.argsort(found, kind="stable").tolist())


def box_flip(
    path: Path, exact: Detections, rounded: Detections, truth: Annotated | None
) -> BoxFlip | None:
    """What changed of a picture's sure boxes, as :func:`had` has it; None where nothing did."""
    changes = sorted(_changes(exact, rounded, truth), key=_surest, reverse=True)
    if not changes:
        return None
    kept = sure(rounded).xyxy[had(rounded, exact)]
    return BoxFlip(path, tuple(changes), kept)


def _changes(
    exact: Detections, rounded: Detections, truth: Annotated | None
) -> Iterator[BoxChange]:
    """Boxes of the two sides in pairs, where they are of one thing."""
    lost, new = (
        np.flatnonzero(one.scores > SURE)[~had(one, other)]
        for one, other in ((exact, rounded), (rounded, exact))
    )
    overlaps = iou_matrix(exact.xyxy, rounded.xyxy) > SAME
    alike = exact.class_ids[:, None] == rounded.class_ids
    free = set(new.tolist())
    for place in lost.tolist():
        others = np.flatnonzero(overlaps[place])
        moved = [i for i in others[alike[place, others]].tolist() if i in free]
        renamed = [i for i in others.tolist() if i in free]
        faint = others[alike[place, others] & (rounded.scores[others] <= SURE)].tolist()
        partner = next(iter((*moved, *renamed, *faint)), None)
        free.discard(partner)
        yield BoxChange(
            _box(exact, place, truth), None if partner is None else _box(rounded, partner, truth)
        )
    for place in sorted(free):
        near = overlaps[:, place] & alike[:, place]
        faint = np.flatnonzero(near & (exact.scores <= SURE)).tolist()
        before = _box(exact, faint[0], truth) if faint else None
        yield BoxChange(before, _box(rounded, place, truth))


def _box(found: Detections, place: int, truth: Annotated | None) -> Box:
    xyxy = found.xyxy[place]
    class_id = int(found.class_ids[place])
    right = None
    if truth is not None:
        there = truth.boxes[truth.class_ids == class_id]
        right = bool((iou_matrix(xyxy[None], there) >= SAME).any())
    left, top, wide, low = (float(side) for side in xyxy)
    score = float(found.scores[place])
    return Box(found.names[place], class_id, score, (left, top, wide, low), right)


def _surest(change: BoxChange) -> float:
    return max(box.score for box in (change.float, change.int8) if box is not None)


def _share(logits: Floats, class_id: int) -> float:
    """Softmax probability of one class."""
    weights = np.exp(logits.astype(np.float64) - logits.max())
    return float(weights[class_id] / weights.sum())
