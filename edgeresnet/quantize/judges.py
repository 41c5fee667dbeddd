"""Which judge a graph gets, by its task and by what is known of the pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgeresnet.backends.onnxruntime.reference import open_model
from edgeresnet.core.artifacts import Graph
from edgeresnet.core.errors import UsageError
from edgeresnet.core.progress import Progress
from edgeresnet.core.recipe import Recipe
from edgeresnet.datasets.pictures import Unreadable
from edgeresnet.quantize.gate import UNLABELLED_MAX_DROP
from edgeresnet.quantize.judge import Judge
from edgeresnet.quantize.judge_boxes import BoxJudge
from edgeresnet.quantize.pictures import Pictures, Truth, true_boxes, true_classes
from edgeresnet.tasks import make_task

if TYPE_CHECKING:
    import onnx


def judge_for(
    model: onnx.ModelProto,
    graph: Graph,
    pictures: Pictures,
    images: Path | str | None,
    plan: Recipe,
    unreadable: Unreadable,
    *,
    annotations: Path | str | None,
    class_map: Path | str | None,
    max_drop: float | None,
    jobs: int | None,
    progress: Progress,
) -> tuple[Judge | BoxJudge, str]:
    """The judge of INT8 graphs made of ``model``, and in words how the pictures' truth was found.

    ``images`` are what the pictures that judge are among.
    """
    gate, preprocess = pictures.gate, graph.preprocess
    if graph.task == "detect":
        boxes = true_boxes(gate, images, annotations, graph, class_map, option=pictures.option)
        budget = _budget(max_drop, plan, labelled=bool(boxes.pictures))
        known, labels = boxes.pictures, graph.labels
        box_judge = BoxJudge(
            model, gate, preprocess, labels, known, budget, unreadable, open_model, jobs, progress
        )
        return box_judge, boxes.mapping
    if annotations is not None:
        raise UsageError(f"--annotations are for detectors, {graph.path} is to {graph.task}")
    vectors = graph.task == "embed"
    if vectors and class_map is not None:
        raise UsageError(
            f"--class-map: {graph.path} is to embed and has no classes", hint="leave it out"
        )
    truth = (
        Truth({}, "vectors have no truth: judged by their cosine with float's")
        if vectors
        else true_classes(gate, graph, class_map)
    )
    budget = _budget(max_drop, plan, labelled=vectors or bool(truth.classes))
    signature = make_task(graph.task, preprocess, graph.labels).signature
    judge = Judge(
        model,
        gate,
        preprocess,
        truth.classes,
        budget,
        unreadable,
        open_model,
        signature,
        vectors,
        jobs,
        progress,
    )
    return judge, truth.mapping


def _budget(max_drop: float | None, plan: Recipe, *, labelled: bool) -> float:
    if max_drop is not None:
        return max_drop
    if labelled or "max_drop" in plan.model_fields_set:
        return plan.max_drop
    return UNLABELLED_MAX_DROP
