"""COCO's figures by its evaluator, as faster-coco-eval keeps it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgeresnet.core.predictions import Detections
from edgeresnet.datasets.annotated import Annotated
from edgeresnet.metrics.matching import MOST, Floats

_BEYOND = 2e10
"""Area past all that COCO counts, which has the evaluator set a difficult box aside: VOC's
difficult boxes are no crowds."""


def need_evaluator() -> None:
    """Fail before the work rather than after it where the package is not installed."""
    import faster_coco_eval  # noqa: F401


def evaluated(
    truth: Sequence[Annotated], found: Sequence[Detections], class_ids: Sequence[int]
) -> Floats:
    """AP@[.5:.95] and AP@.5 of each class (n, 2), 0 to 1."""
    from faster_coco_eval import COCO, COCOeval_faster

    rows = _rows(found)
    if not len(rows):
        return np.zeros((len(class_ids), 2))
    true = COCO(_table(truth, class_ids))
    evaluator = COCOeval_faster(true, true.loadRes(rows), "bbox")
    evaluator.params.imgIds = list(range(1, len(truth) + 1))
    evaluator.params.catIds = [class_id + 1 for class_id in class_ids]
    evaluator.params.maxDets = [1, 10, MOST]
    evaluator.evaluate()
    evaluator.accumulate()
    # overlap, recall, class, size (0: all), number of boxes (-1: most)
    precision = evaluator.eval["precision"][:, :, :, 0, -1]
    return np.stack([precision.mean((0, 1)), precision[0].mean(0)], 1)


def _rows(found: Sequence[Detections]) -> Floats:
    """One row a box: picture, left, top, width, height, score, class; ids from 1."""
    rows = [np.zeros((0, 7))]
    for place, boxes in enumerate(found, start=1):
        xyxy = boxes.xyxy.astype(np.float64)
        rows.append(
            np.column_stack(
                (
                    np.full(len(boxes), place),
                    xyxy[:, :2],
                    xyxy[:, 2:] - xyxy[:, :2],
                    boxes.scores,
                    boxes.class_ids + 1,
                )
            )
        )
    return np.concatenate(rows)


def _table(truth: Sequence[Annotated], class_ids: Sequence[int]) -> dict[str, object]:
    annotations: list[dict[str, object]] = []
    for place, picture in enumerate(truth, start=1):
        for (x0, y0, x1, y1), kind, crowd, difficult in zip(
            picture.boxes.tolist(),
            picture.class_ids.tolist(),
            picture.crowd.tolist(),
            picture.difficult.tolist(),
            strict=True,
        ):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": place,
                    "category_id": kind + 1,
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "area": _BEYOND if difficult and not crowd else (x1 - x0) * (y1 - y0),
                    "iscrowd": int(crowd),
                }
            )
    return {
        "images": [
            {"id": place, "width": picture.size[0], "height": picture.size[1]}
            for place, picture in enumerate(truth, start=1)
        ],
        "annotations": annotations,
        "categories": [{"id": class_id + 1, "name": str(class_id)} for class_id in class_ids],
        "info": {},
    }
