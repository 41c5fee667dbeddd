"""Which found boxes are right: COCO's matching, kept picture by picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeresnet.core.predictions import Detections
from edgeresnet.datasets.annotated import Annotated

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

IOUS: Floats = np.linspace(0.5, 0.95, 10)
"""From which overlap on a box counts as found: mAP is the mean over these."""
MOST = 100
"""Boxes of one class on one picture that count, the best ones."""


@dataclass(frozen=True, eq=False)
class ClassMatches:
    """The ``n`` boxes of one class found on ``p`` pictures, best first."""

    class_id: int
    scores: Floats
    """(n,)"""
    pictures: Ints
    """(n,): place of the picture of each."""
    right: Bools
    """(10, n): whether it is a true box's best, at each of :data:`IOUS`."""
    ignored: Bools
    """(10, n): whether it lies on a crowd or on something difficult, and so does not count."""
    true: Ints
    """(p,): how many there are to be found on each picture."""


def match(truth: Sequence[Annotated], found: Sequence[Detections]) -> tuple[ClassMatches, ...]:
    """Match what was found on each picture with what is there, for every class that is there.

    Better boxes choose first, each the free true box that it overlaps most. A crowd may be chosen
    often, its overlap being the share of the found box that it covers; a difficult box once.
    """
    if len(truth) != len(found):
        raise ValueError(f"{len(truth)} pictures, but boxes of {len(found)}")
    counted = [picture.class_ids[picture.counted] for picture in truth]
    classes = np.unique(np.concatenate(counted)) if counted else np.zeros(0, np.int64)
    return tuple(_class(int(class_id), truth, found) for class_id in classes)


def _class(class_id: int, truth: Sequence[Annotated], found: Sequence[Detections]) -> ClassMatches:
    true = np.zeros(len(truth), np.int64)
    scores, places = [np.zeros(0)], [np.zeros(0, np.int64)]
    right, ignored = [np.zeros((len(IOUS), 0), np.bool_)], [np.zeros((len(IOUS), 0), np.bool_)]
    for place, (picture, boxes) in enumerate(zip(truth, found, strict=True)):
        of_class = picture.class_ids == class_id
        aside = ~picture.counted[of_class]
        true[place] = np.count_nonzero(~aside)
        mine = np.flatnonzero(boxes.class_ids == class_id)
        if not len(mine):
            continue
        mine = mine[np.argsort(-boxes.scores[mine], kind="stable")][:MOST]
        last = np.argsort(aside, kind="stable")
        crowd = picture.crowd[of_class][last]
        overlaps = _overlaps(boxes.xyxy[mine], picture.boxes[of_class][last], crowd)
        hits, others = _choices(overlaps, int(true[place]), crowd)
        scores.append(boxes.scores[mine].astype(np.float64))
        places.append(np.full(len(mine), place))
        right.append(hits)
        ignored.append(others)
    all_scores = np.concatenate(scores)
    order = np.argsort(-all_scores, kind="stable")
    return ClassMatches(
        class_id,
        all_scores[order],
        np.concatenate(places)[order],
        np.concatenate(right, 1)[:, order],
        np.concatenate(ignored, 1)[:, order],
        true,
    )


def _overlaps(
    found: npt.NDArray[np.float32], true: npt.NDArray[np.float32], crowd: Bools
) -> Floats:
    """IoU of found boxes (rows) with true ones; with a crowd, the share of the found box."""
    one, other = found.astype(np.float64), true.astype(np.float64)
    sides = np.minimum(one[:, None, 2:], other[:, 2:]) - np.maximum(one[:, None, :2], other[:, :2])
    shared = np.prod(np.maximum(sides, 0), axis=2)
    own = np.prod(one[:, 2:] - one[:, :2], axis=1)[:, None]
    theirs = np.prod(other[:, 2:] - other[:, :2], axis=1)
    covered = np.where(crowd, own, own + theirs - shared)
    ratios: Floats = np.divide(shared, covered, out=np.zeros_like(shared), where=covered > 0)
    return ratios


def _choices(overlaps: Floats, count: int, crowd: Bools) -> tuple[Bools, Bools]:
    """Whether each found box is right or ignored, (10, n) each.

    The first ``count`` true boxes are to be found; the others are set aside and chosen only when
    none of the first is left. Of equals the last is taken, as COCO's evaluator does.
    """
    right = np.zeros((len(IOUS), len(overlaps)), np.bool_)
    ignored = np.zeros_like(right)
    if not overlaps.shape[1]:
        return right, ignored
    free = np.ones((len(IOUS), overlaps.shape[1]), np.bool_)
    levels = np.arange(len(IOUS))
    for number, row in enumerate(overlaps):
        if row.max() < IOUS[0]:
            continue
        open_ = (row >= IOUS[:, None]) & free
        for part, told in ((slice(0, count), right), (slice(count, None), ignored)):
            choosable = np.where(open_[:, part], row[part], -1.0)
            if not choosable.shape[1]:
                continue
            best = choosable.shape[1] - 1 - choosable[:, ::-1].argmax(1)
            chosen = (choosable[levels, best] >= 0) & ~right[:, number]
            told[chosen, number] = True
            taken = best[chosen] + (part.start or 0)
            free[levels[chosen], taken] = crowd[taken]
    return right, ignored
