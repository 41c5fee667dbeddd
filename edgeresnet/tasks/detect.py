"""Boxes around the things in the picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeresnet.core.boxes import MOST, best_of_each, clip
from edgeresnet.core.frames import Frame
from edgeresnet.core.labels import Labels
from edgeresnet.core.predictions import Detections
from edgeresnet.core.preprocess import Preprocess, fit, placed
from edgeresnet.core.tensors import BOXES, CLASS_IDS, IMAGE, SCORES, Array, Tensors
from edgeresnet.tasks.outputs import NOT_FINITE, unusable
from edgeresnet.tasks.thresholds import least_scores
from edgeresnet.tasks.tracking import FAINT, Tracker

THRESHOLD = 0.3
"""Where the user gives none."""
SIGNATURE = 2
"""Raised whenever :meth:`Detect.signature` tells something else."""
_GRID = 6
"""Places of a row and of a column, in which a signature counts."""


@dataclass(frozen=True, eq=False)
class Detect:
    """The ``top`` best boxes that reach the ``least`` score of their class, one for each thing."""

    preprocess: Preprocess
    labels: Labels
    top: int
    least: npt.NDArray[np.float64]

    def feeds(self, frame: Frame) -> Tensors:
        """The fitted picture, batch 1."""
        return {IMAGE: fit(frame.looked_at, self.preprocess)[None]}

    def prediction(self, outputs: Tensors, frame: Frame) -> Detections:
        """Boxes, best first, in pixels of the frame and within what the model looked at.

        Values that are not finite are an error, never a box, and so is a class without a name.
        """
        boxes, scores, class_ids = (outputs[name][0] for name in (BOXES, SCORES, CLASS_IDS))
        fault = _fault(boxes, scores, class_ids, len(self.labels))
        if fault:
            raise unusable(fault, frame)
        sure = np.flatnonzero(scores >= self.least[class_ids])
        scores, class_ids = scores[sure].astype(np.float32), class_ids[sure].astype(np.int64)
        left, top, width, height = frame.region or (0, 0, frame.width, frame.height)
        xyxy = placed(height, width, self.preprocess).source(boxes[sure])
        xyxy = clip(xyxy, (0, 0, width, height)) + np.array((left, top) * 2, np.float32)
        kept = best_of_each(xyxy, scores, class_ids, most=min(self.top, MOST))
        names = tuple(self.labels.names[class_id] for class_id in class_ids[kept].tolist())
        return Detections(xyxy[kept], scores[kept], class_ids[kept], names)

    def signature(self, outputs: Tensors) -> npt.NDArray[np.float32]:
        """How much of each class has its left top corner where, and how much its right bottom one.

        Each box's score is spread over the places of a grid that the corner lies between, so that a
        small difference changes little, whatever the order of the boxes. Outputs that no box can be
        made of give NaN, which agrees with nothing.
        """
        boxes, scores, kinds = (outputs[name][0] for name in (BOXES, SCORES, CLASS_IDS))
        grids = np.zeros((2, _GRID, _GRID, len(self.labels)))
        if _fault(boxes, scores, kinds, len(self.labels)):
            return np.full(grids.size, np.nan, np.float32)
        height, width = self.preprocess.size
        seen = scores.astype(np.float64) ** 2  # the faint ones, which differ, are many
        for grid, corners in zip(grids, (boxes[:, :2], boxes[:, 2:]), strict=True):
            at = corners.astype(np.float64) / (width, height)
            for x, share_x in _between(at[:, 0]):
                for y, share_y in _between(at[:, 1]):
                    np.add.at(grid, (y, x, kinds), seen * share_x * share_y)
        return grids.reshape(-1).astype(np.float32)


def _between(
    values: npt.NDArray[np.float64],
) -> tuple[tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]], ...]:
    """The two places of the grid that each of 0 to 1 lies between, with its share of either."""
    at = np.clip(values, 0, 1) * (_GRID - 1)
    low = np.minimum(at.astype(np.int64), _GRID - 2)
    return (low, 1 - (at - low)), (low + 1, at - low)


def _fault(boxes: Array, scores: Array, class_ids: Array, classes: int) -> str:
    """Why these are no boxes; empty when they are."""
    if not (np.isfinite(scores).all() and np.isfinite(boxes).all()):
        return NOT_FINITE
    if len(class_ids) and not 0 <= class_ids.min() <= class_ids.max() < classes:
        return "classes that have no name"
    return ""


def task(
    preprocess: Preprocess,
    labels: Labels,
    *,
    top: int | None,
    threshold: float | None,
    of_classes: Mapping[str, float],
    tracked: bool,
) -> Detect:
    """The task for one worker. For the tracker faint boxes are kept: it knows what they are of."""
    least = least_scores(labels, THRESHOLD if threshold is None else threshold, of_classes)
    if tracked:
        return Detect(preprocess, labels, MOST, np.minimum(least, FAINT))
    return Detect(preprocess, labels, top or MOST, least)


def tracker(
    labels: Labels,
    *,
    top: int | None,
    threshold: float | None,
    of_classes: Mapping[str, float],
) -> Tracker:
    """What follows the boxes of one source from frame to frame."""
    least = least_scores(labels, THRESHOLD if threshold is None else threshold, of_classes)
    return Tracker(least, top or MOST)
