"""Boxes (n, 4) as left, top, right, bottom: how they overlap, and which of them say the same."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from edgeresnet.core.frames import Region

Boxes = npt.NDArray[np.float32]
"""n x 4: left, top, right, bottom, coordinates of edges."""

SAME = 0.5
"""IoU beyond which two boxes of one class are one thing."""
MOST = 300
"""Boxes of one picture, at most."""


def areas(boxes: Boxes) -> npt.NDArray[np.float32]:
    """Area of each (n,); 0 of a box whose sides are in the wrong order."""
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    return np.asarray(np.maximum(width, 0) * np.maximum(height, 0), np.float32)


def iou_matrix(one: Boxes, other: Boxes) -> npt.NDArray[np.float32]:
    """Shared area over covered area of each of ``one`` (rows) with each of ``other`` (columns).

    0 where both have no area.
    """
    shared = np.maximum(
        np.minimum(one[:, None, 2], other[:, 2]) - np.maximum(one[:, None, 0], other[:, 0]), 0
    )
    shared *= np.maximum(
        np.minimum(one[:, None, 3], other[:, 3]) - np.maximum(one[:, None, 1], other[:, 1]), 0
    )
    covered = areas(one)[:, None] + areas(other) - shared
    shared[covered <= 0] = 0
    covered[covered <= 0] = 1
    return np.asarray(shared / covered, np.float32)


def clip(boxes: Boxes, region: Region) -> Boxes:
    """What of each box lies within ``region``; one that lies outside has no area left."""
    left, top, width, height = region
    low = np.array((left, top, left, top), np.float32)
    return np.clip(boxes, low, low + np.array((width, height, width, height), np.float32))


def best_of_each(
    boxes: Boxes,
    scores: npt.NDArray[np.float32],
    class_ids: npt.NDArray[np.int64],
    *,
    same: float = SAME,
    most: int = MOST,
) -> npt.NDArray[np.int64]:
    """Places of at most ``most`` boxes, best first: non-maximum suppression, class by class.

    A box falls to a better one of its class that overlaps it by an IoU of more than ``same``; of
    equals the earlier is better. This is what torchvision's ``batched_nms`` keeps, but for boxes
    without area, of which none stays.
    """
    places = np.flatnonzero(areas(boxes) > 0)
    if not len(places):
        return places
    xywh = boxes[places].astype(np.float64)
    xywh[:, 2:] -= xywh[:, :2]
    kept = cv2.dnn.NMSBoxesBatched(
        xywh.tolist(), scores[places].tolist(), class_ids[places].tolist(), -1.0, same
    )
    return places[np.asarray(kept, np.int64)[:most]]
