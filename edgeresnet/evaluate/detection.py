"""Mean average precision and agreement of a detector, with their intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from edgeresnet.core.errors import UsageError
from edgeresnet.core.predictions import Detections
from edgeresnet.core.progress import Progress
from edgeresnet.datasets.annotated import Annotated, AnnotatedSet, Fault, Faults, need_boxes
from edgeresnet.datasets.annotations import for_labels, is_annotated, read_annotations
from edgeresnet.datasets.pictures import list_pictures
from edgeresnet.evaluate.reading import fitted
from edgeresnet.flow.predictor import Predictor
from edgeresnet.metrics.accuracy import Interval, proportion
from edgeresnet.metrics.agreement import same_boxes
from edgeresnet.metrics.average_precision import (
    LEAST_SCORE,
    AveragePrecision,
    average_precision,
    paired_drop,
)
from edgeresnet.metrics.coco_evaluator import need_evaluator
from edgeresnet.tasks import make_task

T = TypeVar("T")


@dataclass(frozen=True)
class Compared:
    """How a detector stands to another one on the same pictures."""

    reference: str
    boxes: int
    """Sure boxes of either that the other was asked for."""
    agreement: Interval | None
    """Share of those that the other has; None when there was none."""
    score: AveragePrecision | None = None
    """The other's."""
    drop: tuple[Interval, Interval] | None = None
    """Points of mAP@[.5:.95] and mAP@.5 lost from the reference to the model, paired."""


@dataclass(frozen=True)
class DetectionReport:
    """How right a detector is; every figure in percent with its 95 % interval."""

    model: str
    pictures: int
    mapping: str
    """How the boxes got their classes; empty when there are none."""
    names: tuple[str, ...]
    """Of the network's classes."""
    score: AveragePrecision | None
    boxes: int
    """True ones on those pictures, crowds and difficult ones included."""
    crowd: int
    difficult: int
    faults: Faults
    compared: Compared | None = None

    def as_json(self) -> dict[str, Any]:
        """The evaluation report of the README."""
        found: dict[str, Any] = {"model": self.model, "pictures": self.pictures}
        if self.score is not None:
            found["map"] = self.score.map.as_json()
            found["map50"] = self.score.map50.as_json()
            found["per_class"] = [
                {
                    "class_id": item.class_id,
                    "name": self.names[item.class_id],
                    "boxes": item.boxes,
                    "map": round(item.map, 3),
                    "map50": round(item.map50, 3),
                }
                for item in self.score.per_class
            ]
        if self.compared is not None:
            found["reference"] = self.compared.reference
            found["boxes_compared"] = self.compared.boxes
            if self.compared.agreement is not None:
                found["agreement"] = self.compared.agreement.as_json()
            if self.compared.score is not None:
                found["reference_map"] = self.compared.score.map.as_json()
                found["reference_map50"] = self.compared.score.map50.as_json()
            if self.compared.drop is not None:
                found["drop_map"], found["drop_map50"] = (
                    drop.as_json() for drop in self.compared.drop
                )
        found["mapping"] = self.mapping
        found["annotations"] = {
            "boxes": self.boxes,
            "crowd": self.crowd,
            "difficult": self.difficult,
            "faults": self.faults.as_json(),
        }
        return found


def evaluate_detector(
    main: Predictor,
    other: Predictor | None,
    *,
    images: Path,
    annotations: Path | None,
    class_map: Path | None,
    strict: bool,
    progress: Progress,
) -> DetectionReport:
    """Run ``main``, and ``other`` to compare with, over annotated pictures.

    Boxes scoring 0.05 or more count, after non-maximum suppression at an IoU of 0.5, up to 300 of a
    picture (as torchvision's RetinaNet keeps them) and, as COCO's evaluator has it, the best 100 of
    each class.
    """
    if other is not None and annotations is None and not is_annotated(images):
        return _agreement_alone(main, other, images, progress)
    need_evaluator()
    truth, mapping = for_labels(
        read_annotations(images, annotations, strict=strict), main.labels, class_map
    )
    need_boxes(truth.pictures, f"of {truth.origin}")
    found, pictures = _run(main, truth.pictures, _path, truth.faults, ("evaluate", progress))
    report = _report(main, truth, pictures, mapping, average_precision(pictures, found))
    if other is None:
        return report
    expected, _ = _run(other, pictures, _path, truth.faults, ("reference", progress))
    before, after = average_precision(pictures, expected), report.score
    drop = None if after is None else paired_drop(before, after)
    return replace(
        report, compared=replace(_compared(other, expected, found), score=before, drop=drop)
    )


def _path(picture: Annotated) -> Path:
    return picture.path


def _report(
    main: Predictor,
    truth: AnnotatedSet,
    pictures: Sequence[Annotated],
    mapping: str,
    score: AveragePrecision,
) -> DetectionReport:
    return DetectionReport(
        main.name,
        len(pictures),
        mapping,
        main.labels.names,
        score,
        sum(len(picture.boxes) for picture in pictures),
        sum(int(picture.crowd.sum()) for picture in pictures),
        sum(int(picture.difficult.sum()) for picture in pictures),
        truth.faults,
    )


def _agreement_alone(
    main: Predictor, other: Predictor, images: Path, progress: Progress
) -> DetectionReport:
    """Of pictures without boxes."""
    faults = Faults()
    paths = [entry.path for entry in list_pictures(images, "--images").entries]
    found, kept = _run(main, paths, _same, faults, ("evaluate", progress))
    if not kept:
        raise UsageError(f"--images: none of {len(paths)} pictures of {images} is readable")
    expected, _ = _run(other, kept, _same, faults, ("reference", progress))
    compared = _compared(other, expected, found)
    return DetectionReport(
        main.name, len(kept), "", main.labels.names, None, 0, 0, 0, faults, compared
    )


def _same(path: Path) -> Path:
    return path


def _compared(
    other: Predictor, expected: Sequence[Detections], found: Sequence[Detections]
) -> Compared:
    hits = same_boxes(expected, found)
    return Compared(other.name, len(hits), proportion(hits) if len(hits) else None)


def _run(
    predictor: Predictor,
    items: Sequence[T],
    path: Callable[[T], Path],
    faults: Faults,
    progress: tuple[str, Progress],
) -> tuple[list[Detections], list[T]]:
    """What is found on every readable picture, and those pictures."""
    task = make_task("detect", predictor.preprocess, predictor.labels, threshold=LEAST_SCORE)

    def unreadable(_path: Path, why: str) -> None:
        faults.add(Fault.UNREADABLE_PICTURE, why)

    pictures = fitted(items, path, predictor.preprocess, unreadable, progress)
    found, kept = [], []
    with closing(predictor.outputs(pictures)) as results:
        for (item, frame), outputs in results:
            boxes = task.prediction(outputs, frame)
            if not isinstance(boxes, Detections):
                raise TypeError(f"a detector said {type(boxes).__name__}")
            found.append(boxes)
            kept.append(item)
    return found, kept
