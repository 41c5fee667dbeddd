"""Float contract graph to INT8: choose pictures, observe, emit, judge, write."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edgeresnet.backends.onnxruntime.reference import open_model
from edgeresnet.core.artifacts import Graph
from edgeresnet.core.contract import (
    body_of,
    describe,
    graph_of,
    load_onnx,
    onnx_package,
    read_metadata,
    save_onnx,
)
from edgeresnet.core.errors import GateError, ModelError, ParityError, UsageError
from edgeresnet.core.files import check_output
from edgeresnet.core.progress import Progress, silent
from edgeresnet.core.recipe import Recipe
from edgeresnet.core.target import Scheme
from edgeresnet.core.tensors import IMAGE, LOGITS, Pixels, Tensors
from edgeresnet.datasets.pictures import Entry, Listing, Unreadable, digest, fitted
from edgeresnet.match.moments import unpack
from edgeresnet.match.probe import FEWEST, PICTURES, TrainingMatch, probe
from edgeresnet.quantize.gate import UNLABELLED_MAX_DROP, Gate, judge
from edgeresnet.quantize.layers import LayerNoise, layer_noise
from edgeresnet.quantize.pictures import Pictures, choose_pictures, true_classes
from edgeresnet.quantize.placement import place
from edgeresnet.quantize.plan import check_float_nodes, recipe_of, scheme_of
from edgeresnet.quantize.qdq import insert
from edgeresnet.quantize.ranges import choose_ranges
from edgeresnet.quantize.statistics import observe

if TYPE_CHECKING:
    import onnx

_NOISE_PICTURES = 8


@dataclass(frozen=True)
class QuantizeReport:
    """What ``quantize`` made and found."""

    graph: Graph
    gate: Gate
    worst_layers: tuple[LayerNoise, ...]
    calibration_pictures: int
    training_match: str
    unreadable: Mapping[Path, str]
    notes: tuple[str, ...]


def quantize(
    graph: Path | str,
    out: Path | str,
    *,
    images: Path | str,
    eval_images: Path | str | None = None,
    samples: int | None = None,
    target: str | None = None,
    scheme: str | None = None,
    recipe: str = "default",
    method: str | None = None,
    max_drop: float | None = None,
    class_map: Path | str | None = None,
    force: bool = False,
    progress: Progress = silent,
) -> QuantizeReport:
    """Quantize the float contract graph to the INT8 graph ``out``.

    ``images`` calibrate; ``eval_images`` judge, and where they are left out a seeded half of
    ``images`` does. ``target`` (a device profile) or ``scheme`` says how INT8 is written.
    ``max_drop`` is the budget in points of top-1, or of agreement with float where the pictures
    have no classes. Raises GateError over budget, ParityError when the pictures show that the
    graph's preprocessing is not the training's.
    """
    out = check_output(Path(out), force=force)
    chosen = scheme_of(target, scheme)
    plan = recipe_of(recipe, samples, method)
    model = load_onnx(Path(graph))
    read = graph_of(model, Path(graph))
    if read.scheme is not Scheme.FLOAT:
        raise UsageError(
            f"{graph} is already quantized ({read.scheme.value})",
            hint="quantize the graph that convert wrote",
        )
    check_float_nodes(plan, model)
    pictures = choose_pictures(Path(images), eval_images, plan)
    unreadable = Unreadable({})
    truth = true_classes(pictures.gate, read, class_map)
    budget = _budget(max_drop, plan, labelled=bool(truth.classes))

    match = _training_match(model, read, pictures, unreadable, force=force, progress=progress)
    placement = place(model, chosen, plan.float_nodes)
    counted = _counted(
        fitted(pictures.calibration, read.preprocess, unreadable),
        "calibrate",
        len(pictures.calibration),
        progress,
    )
    seen: list[Entry] = []
    statistics = observe(model, placement.tensors, _note(counted, seen), open_model)
    unreadable.raise_if_all(len(seen), "--images")
    ranges = choose_ranges(statistics, placement, plan, chosen)
    quantized = insert(model, placement, ranges, chosen)
    gate, gate_pictures = _judge(
        model, quantized, read, pictures.gate, truth.classes, budget, unreadable, progress
    )
    layers = tuple(layer_noise(model, quantized, gate_pictures[:_NOISE_PICTURES], open_model))
    if not gate.passed and not force:
        raise _over_budget(gate, layers)
    evidence = {
        **read.evidence,
        "training_match": match,
        "calibration": {
            "verdict": "seen",
            "pictures": len(seen),
            "list_sha256": _list_digest(seen),
            "recipe": plan.model_dump(mode="json"),
            "scheme": chosen.value,
        },
        "accuracy": {**gate.as_evidence(), "mapping": truth.mapping},
    }
    describe(
        quantized,
        task=read.task,
        scheme=chosen,
        preprocess=read.preprocess,
        labels=read.labels,
        evidence=evidence,
    )
    written = save_onnx(quantized, out)
    return QuantizeReport(
        written,
        gate,
        layers,
        len(seen),
        str(match["verdict"]),
        unreadable.reasons,
        (*pictures.notes, truth.mapping),
    )


def _budget(max_drop: float | None, plan: Recipe, *, labelled: bool) -> float:
    if max_drop is not None:
        return max_drop
    if labelled or "max_drop" in plan.model_fields_set:
        return plan.max_drop
    return UNLABELLED_MAX_DROP


def _training_match(
    model: onnx.ModelProto,
    graph: Graph,
    pictures: Pictures,
    unreadable: Unreadable,
    *,
    force: bool,
    progress: Progress,
) -> dict[str, Any]:
    """What convert found, or the probe on the calibration pictures where it found nothing."""
    found: dict[str, Any] = dict(graph.evidence.get("training_match", {"verdict": "unchecked"}))
    packed = read_metadata(model).get("batchnorm", "{}")
    statistics = unpack(packed)
    if found["verdict"] != "unchecked" or not statistics:
        return found
    chosen = fitted(pictures.calibration[:PICTURES], graph.preprocess, unreadable)
    pixels = [picture for _, picture in chosen]
    if len(pixels) < FEWEST:
        return found
    body = _single(body_of(model))
    match: TrainingMatch = probe(body, statistics, graph.preprocess, pixels, open_model, progress)
    if not match.matches and not force:
        best = match.best
        raise ParityError(
            f"{graph.path}: the calibration pictures fit the training clearly better with "
            f"{best.candidate.name!r} (divergence {best.divergence:.4f} instead of "
            f"{match.verdicts[0].divergence:.4f})",
            hint=f"convert again with {best.candidate.option}, or with --images",
        )
    return match.as_evidence()


def _single(body: onnx.ModelProto) -> onnx.ModelProto:
    body.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    return body


def _counted(
    items: Iterator[tuple[Entry, Pixels]], what: str, total: int, progress: Progress
) -> Iterator[tuple[Entry, Pixels]]:
    for done, item in enumerate(items, start=1):
        yield item
        progress(what, done, total)


def _note(items: Iterator[tuple[Entry, Pixels]], seen: list[Entry]) -> Iterator[Pixels]:
    for entry, pixels in items:
        seen.append(entry)
        yield pixels


def _judge(  # noqa: PLR0917  one caller
    model: onnx.ModelProto,
    quantized: onnx.ModelProto,
    graph: Graph,
    gate: Listing,
    truth: Mapping[Path, int],
    budget: float,
    unreadable: Unreadable,
    progress: Progress,
) -> tuple[Gate, list[Pixels]]:
    onnx_package().checker.check_model(quantized)
    exact, rounded = (open_model(m.SerializeToString()) for m in (model, quantized))
    float_logits, int8_logits, classes = [], [], []
    kept: list[Pixels] = []
    items = _counted(
        fitted(gate.entries, graph.preprocess, unreadable), "judge", len(gate.entries), progress
    )
    for entry, pixels in items:
        float_logits.append(_logits(exact, pixels, graph.batch))
        int8_logits.append(_logits(rounded, pixels, graph.batch))
        classes.append(truth.get(entry.path, -1))
        if len(kept) < _NOISE_PICTURES:
            kept.append(pixels)
    unreadable.raise_if_all(len(kept), "--eval")
    if not np.isfinite(int8_logits).all():
        raise ModelError("the INT8 graph gives values that are not finite")
    labels: Sequence[int] | None = classes if truth else None
    return judge(np.stack(float_logits), np.stack(int8_logits), labels, budget), kept


def _logits(
    run: Callable[[Tensors], Tensors], pixels: Pixels, batch: int
) -> npt.NDArray[np.float32]:
    row: npt.NDArray[np.float32] = run({IMAGE: np.repeat(pixels[None], batch, axis=0)})[LOGITS][0]
    return row


def _list_digest(entries: Sequence[Entry]) -> str:
    lines = sorted(digest(entry.path) for entry in entries)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _over_budget(gate: Gate, layers: Sequence[LayerNoise]) -> GateError:
    worst = ", ".join(f"{layer.layer} ({layer.lost_db:.1f} dB)" for layer in layers[:5])
    return GateError(
        f"INT8 loses {gate.drop} points of {gate.metric} on {gate.pictures} pictures, "
        f"{gate.max_drop:g} allowed; the layers that add most noise: {worst}",
        hint="--method percentile, more --samples, a larger --max-drop, float_nodes in a recipe; "
        "--force writes the graph all the same",
    )
