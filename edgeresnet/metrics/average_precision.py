"""Mean average precision of found boxes, with 95 % intervals over the pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgeresnet.core.predictions import Detections
from edgeresnet.datasets.annotated import Annotated, need_boxes
from edgeresnet.metrics import accuracy
from edgeresnet.metrics.accuracy import Z95, Interval
from edgeresnet.metrics.coco_evaluator import evaluated
from edgeresnet.metrics.matching import IOUS, ClassMatches, Floats, Ints, match

RESAMPLES = 1000
RECALLS: Floats = np.linspace(0, 1, 101)
"""Where COCO reads precision off its curve."""
LEAST_SCORE = 0.05
"""Of the boxes that are scored, as torchvision's detectors keep them: a curve needs the faint ones,
of which a live picture shows none."""
FEW = 50
"""Pictures: of fewer the boxes are too much alike to be counted one by one."""
_CELLS = 2_000_000
"""Of the arrays that one step of resampling makes: 16 MB each."""


@dataclass(frozen=True)
class ClassPrecision:
    """How well one class is found, in percent; ``boxes`` of it there are."""

    class_id: int
    boxes: int
    map: float
    map50: float


@dataclass(frozen=True, eq=False)
class AveragePrecision:
    """How well boxes are found: mAP@[.5:.95] and mAP@.5, in percent."""

    map: Interval
    map50: Interval
    per_class: tuple[ClassPrecision, ...]
    """Of the classes that are there, in the order of their ids."""
    resampled: Floats
    """(2, resamples): both figures, had other pictures of the kind been taken."""
    things: int
    """How many the figures rest on: true boxes, or pictures where there are less than FEW."""


def average_precision(
    truth: Sequence[Annotated],
    found: Sequence[Detections],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> AveragePrecision:
    """Score what was ``found`` on each picture of ``truth``.

    The figures are COCO's evaluator's. The intervals are of a bootstrap: pictures drawn again with
    replacement, the same ones for the same seed and number of pictures, whatever was found. Of few
    or of easy pictures such draws are nearly the same: no interval reaches less far to either side
    than Wilson's score interval (1927) below 100 % where all of n things were found,
    100 z^2 / (n + z^2) points with z = 1.96; n is :attr:`AveragePrecision.things`.

    UsageError where no box is to be found.
    """
    need_boxes(truth, "that are readable")
    matches = match(truth, found)
    by_class = evaluated(truth, found, [item.class_id for item in matches])
    rows = resampled(matches, resamples, seed)
    values = 100 * by_class.mean(0)
    boxes = sum(int(item.true.sum()) for item in matches)
    things = boxes if len(truth) >= FEW else min(boxes, len(truth))
    least = 100 - accuracy.proportion(np.ones(things, np.bool_)).low
    return AveragePrecision(
        _around(float(values[0]), rows[0], least),
        _around(float(values[1]), rows[1], least),
        tuple(
            ClassPrecision(item.class_id, int(item.true.sum()), 100 * one, 100 * other)
            for item, (one, other) in zip(matches, by_class.tolist(), strict=True)
        ),
        rows,
        things,
    )


def paired_drop(before: AveragePrecision, after: AveragePrecision) -> tuple[Interval, Interval]:
    """Points of mAP@[.5:.95] and of mAP@.5 lost on the same pictures, with paired intervals.

    None reaches less far to either side than Agresti and Min's interval (2005), as
    :func:`edgeresnet.metrics.accuracy.paired_drop` has it, where not one of n things was lost:
    100 z / (n + 2) points with z = 1.96.
    """
    if before.resampled.shape != after.resampled.shape:
        raise ValueError("two figures of different resamples are no pair")
    lost = before.resampled - after.resampled
    same = np.ones(before.things, np.bool_)
    least = accuracy.paired_drop(same, same).half_width
    return (
        _around(before.map.value - after.map.value, lost[0], least, -100.0),
        _around(before.map50.value - after.map50.value, lost[1], least, -100.0),
    )


def figures(matches: Sequence[ClassMatches]) -> tuple[float, float]:
    """mAP@[.5:.95] and mAP@.5 in percent: what COCO's evaluator says, without it."""
    pictures = len(matches[0].true)
    one, other = _weighted(matches, np.ones((1, pictures), np.int64))[:, 0].tolist()
    return one, other


def resampled(matches: Sequence[ClassMatches], resamples: int, seed: int) -> Floats:
    """Both figures (2, resamples) of pictures drawn again; draws without any true box left out."""
    rng = np.random.default_rng(seed)
    pictures = len(matches[0].true)
    weights = rng.multinomial(pictures, np.full(pictures, 1 / pictures), resamples)
    return _weighted(matches, weights)


def _weighted(matches: Sequence[ClassMatches], weights: Ints) -> Floats:
    """Both figures (2, r) of sets that hold picture i ``weights[r, i]`` times.

    A class that such a set has nothing of does not count in it; NaN where no class does.
    """
    total = np.zeros((2, len(weights)))
    classes = np.zeros(len(weights), np.int64)
    for item in matches:
        step = max(1, _CELLS // max(1, len(item.scores)))
        for start in range(0, len(weights), step):
            part = weights[start : start + step]
            there = part @ item.true
            precisions = np.stack([_one(item, level, part, there) for level in range(len(IOUS))])
            counts = there > 0
            total[0, start : start + step] += np.where(counts, precisions.mean(0), 0)
            total[1, start : start + step] += np.where(counts, precisions[0], 0)
            classes[start : start + step] += counts
    return np.divide(100 * total, classes, out=np.full_like(total, np.nan), where=classes > 0)


def _one(item: ClassMatches, level: int, weights: Ints, there: Ints) -> Floats:
    """Average precision (r,), 0 to 1, of one class at one overlap.

    Precision is read at the right boxes alone: between two of them it only falls.
    """
    right = np.flatnonzero(item.right[level])
    if not len(right):
        return np.zeros(len(weights))
    wrong = ~item.right[level] & ~item.ignored[level]
    drawn = weights[:, item.pictures]
    hits = np.cumsum(drawn[:, right], 1)
    misses = np.cumsum(np.where(wrong, drawn, 0), 1)[:, right]
    precision = hits / np.maximum(hits + misses, 1)
    highest = np.maximum.accumulate(precision[:, ::-1], 1)[:, ::-1]
    reached = np.searchsorted(RECALLS, hits / np.maximum(there, 1)[:, None], "right")
    newly = np.diff(reached, axis=1, prepend=0)
    return np.asarray((newly * highest).sum(1) / len(RECALLS))


def _around(value: float, draws: Floats, least: float, lowest: float = 0.0) -> Interval:
    """1.96 standard deviations of the draws around the value freed of its bias, within the scale.

    The fewer the pictures, the rougher the curve and the higher its envelope: the figure of a few
    is too high, and the draws' too high again, by about as much. The interval reaches ``least``
    points to either side of the value, or more.
    """
    middle = 2 * value - float(np.nanmean(draws))
    spread = Z95 * float(np.nanstd(draws))
    low, high = min(value - least, middle - spread), max(value + least, middle + spread)
    return Interval(value, max(lowest, low), min(100.0, high))
