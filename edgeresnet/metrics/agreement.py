"""Whether two detectors see the same."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgeresnet.core.boxes import iou_matrix
from edgeresnet.core.predictions import Detections
from edgeresnet.metrics.accuracy import Bools

SURE = 0.5
"""Score of the boxes that are asked for."""
NEAR = 0.1
"""By how much the other's score may be below that: a box does not vanish at a threshold."""
SAME_PLACE = 0.8
"""IoU of the same box."""


def same_boxes(one: Sequence[Detections], other: Sequence[Detections]) -> Bools:
    """For every sure box of either, whether the other has it on the same picture.

    It has it when one of its own of the same class and a score over 0.4 overlaps by 0.8 or more.
    """
    hits = [np.zeros(0, np.bool_)]
    for mine, theirs in zip(one, other, strict=True):
        hits += [_had(mine, theirs), _had(theirs, mine)]
    return np.concatenate(hits)


def _had(asked: Detections, by: Detections) -> Bools:
    sure = asked.only(np.flatnonzero(asked.scores > SURE))
    seen = by.only(np.flatnonzero(by.scores > SURE - NEAR))
    same = iou_matrix(sure.xyxy, seen.xyxy) >= SAME_PLACE
    return np.asarray((same & (sure.class_ids[:, None] == seen.class_ids)).any(1))
