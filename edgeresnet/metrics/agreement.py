"""Whether two models say the same: labels, boxes or vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

from edgeresnet.core.boxes import iou_matrix
from edgeresnet.core.predictions import Classification, Detections, Embedding, Prediction
from edgeresnet.metrics.accuracy import Bools, Interval, mean_of, proportion

SURE = 0.5
"""Score of the boxes that are asked for."""
NEAR = 0.1
"""By how much the other's score may be below that: a box does not vanish at a threshold."""
SAME_PLACE = 0.8
"""IoU of the same box."""
_ROWS = 1024
"""Of the table of cosines that are made at a time."""


@dataclass(frozen=True)
class Agreement:
    """How far two models say the same of the same pictures, in percent."""

    of: str
    """``labels``, ``boxes`` (the sure ones of either) or ``vectors`` (their mean cosine)."""
    count: int
    """Of those."""
    percent: Interval
    """100 where there are none."""


def agreement(one: Sequence[Prediction], other: Sequence[Prediction]) -> Agreement:
    """Compare what two models said, picture by picture, in the way of what they say."""
    if isinstance(one[0], Detections):
        return of_boxes(cast("Sequence[Detections]", one), cast("Sequence[Detections]", other))
    if isinstance(one[0], Embedding):
        vectors = (cast("Sequence[Embedding]", said) for said in (one, other))
        return of_vectors(*(np.stack([one.vector for one in said]) for said in vectors))
    labels = (cast("Sequence[Classification]", said) for said in (one, other))
    hits = [
        mine.best.class_id == theirs.best.class_id for mine, theirs in zip(*labels, strict=True)
    ]
    return Agreement("labels", len(hits), proportion(np.array(hits)))


def of_boxes(one: Sequence[Detections], other: Sequence[Detections]) -> Agreement:
    """The share of the sure boxes of either that the other has, too."""
    hits = same_boxes(one, other)
    percent = proportion(hits) if len(hits) else Interval(100.0, 0.0, 100.0)
    return Agreement("boxes", len(hits), percent)


def of_vectors(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> Agreement:
    """The mean cosine of the vectors (pictures x length) of the same picture."""
    return Agreement("vectors", len(one), mean_of(100 * cosines(one, other), -100.0, 100.0))


def cosines(
    one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]
) -> npt.NDArray[np.float64]:
    """Cosine of the angle between the vectors (pictures x length) of each picture.

    1 where neither has any length, 0 where only one has none.
    """
    a, b = one.astype(np.float64), other.astype(np.float64)
    lengths = np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)
    both = lengths[0] * lengths[1]
    found = np.divide((a * b).sum(1), both, out=np.zeros(len(a)), where=both > 0)
    found[(lengths[0] == 0) & (lengths[1] == 0)] = 1.0
    return np.asarray(np.clip(found, -1.0, 1.0))


def nearest(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Of each picture's vector (pictures x length), the place of the nearest other by cosine."""
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    alike = vectors / np.maximum(lengths, 1e-30)
    found = np.empty(len(vectors), np.int64)
    for start in range(0, len(vectors), _ROWS):
        rows = alike[start : start + _ROWS] @ alike.T
        own = np.arange(len(rows))
        rows[own, start + own] = -np.inf
        found[start : start + _ROWS] = rows.argmax(1)
    return found


def same_boxes(one: Sequence[Detections], other: Sequence[Detections]) -> Bools:
    """For every sure box of either, whether the other has it on the same picture.

    It has it when one of its own of the same class and a score over 0.4 overlaps by 0.8 or more.
    """
    hits = [np.zeros(0, np.bool_)]
    for mine, theirs in zip(one, other, strict=True):
        hits += [had(mine, theirs), had(theirs, mine)]
    return np.concatenate(hits)


def sure(found: Detections) -> Detections:
    """Those of the boxes that are asked for."""
    return found.only(np.flatnonzero(found.scores > SURE))


def had(asked: Detections, by: Detections) -> Bools:
    """For every sure box of ``asked``, whether ``by`` has it."""
    mine, theirs = sure(asked), by.only(np.flatnonzero(by.scores > SURE - NEAR))
    same = iou_matrix(mine.xyxy, theirs.xyxy) >= SAME_PLACE
    return np.asarray((same & (mine.class_ids[:, None] == theirs.class_ids)).any(1))
