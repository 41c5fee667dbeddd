"""Float contract graph to INT8: choose pictures, calibrate, emit, judge, write."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from edgeresnet.backends import get_backend
from edgeresnet.backends.onnxruntime.reference import open_model
from edgeresnet.core.artifacts import Graph
from edgeresnet.core.contract import (
    describe,
    graph_of,
    load_onnx,
    save_onnx,
)
from edgeresnet.core.errors import GateError, UsageError
from edgeresnet.core.files import check_output
from edgeresnet.core.progress import Progress, silent
from edgeresnet.core.recipe import Method
from edgeresnet.core.target import Scheme, load_target
from edgeresnet.core.tensors import Pixels
from edgeresnet.datasets.pictures import Unreadable, fitted
from edgeresnet.flow.advise import Advice, advise
from edgeresnet.quantize.budget import Budgeted, keep_budget, multiplications
from edgeresnet.quantize.calibration import Calibration
from edgeresnet.quantize.emit import Emitter
from edgeresnet.quantize.gate import UNLABELLED_MAX_DROP
from edgeresnet.quantize.judge import Verdict
from edgeresnet.quantize.judges import judge_for
from edgeresnet.quantize.kept import calibration_for
from edgeresnet.quantize.layers import layer_noise
from edgeresnet.quantize.pictures import choose_pictures, gate_only
from edgeresnet.quantize.plan import (
    check_float_nodes,
    check_operators,
    recipe_of,
    scheme_of,
    weight_bits_of,
)
from edgeresnet.quantize.report import QuantizeReport
from edgeresnet.quantize.sensitivity import LayerSensitivity, Prober, layer_sensitivity
from edgeresnet.quantize.training import training_match, unlike_training
from edgeresnet.tasks import make_task

_NOISE_PICTURES = 8
_PROBE_PICTURES = 8
_HERE = "generic-cpu"
"""Where advice is measured when no target is named."""


def quantize(
    graph: Path | str,
    out: Path | str,
    *,
    images: Path | str | None = None,
    eval_images: Path | str | None = None,
    samples: int | None = None,
    target: str | None = None,
    scheme: str | None = None,
    recipe: str = "default",
    method: str | None = None,
    max_drop: float | None = None,
    class_map: Path | str | None = None,
    annotations: Path | str | None = None,
    jobs: int | None = None,
    advice: bool = False,
    force: bool = False,
    progress: Progress = silent,
) -> QuantizeReport:
    """Quantize the float contract graph to the INT8 graph ``out``.

    ``images`` calibrate; ``eval_images`` judge, and where they are left out a seeded half of
    ``images`` does. What calibration finds is kept beside ``graph``: without ``images`` it is used
    again, and then nothing is judged unless ``eval_images`` are given. ``target`` (a device
    profile) or ``scheme`` says how INT8 is written. ``max_drop`` is the budget in points of top-1,
    or of agreement with float where the pictures have no classes; of a detector in points of
    mAP@.5, by the ``annotations`` of the pictures that judge. Layers return to float until it
    holds. ``advice`` asks for the speed of float, half and INT8 on the target's backend here.
    Raises GateError over budget, ParityError when the pictures show that the graph's preprocessing
    is not the training's.
    """
    out = check_output(Path(out), force=force)
    chosen = scheme_of(target, scheme)
    plan = recipe_of(recipe, samples, method)
    if images is None and plan.method is Method.AUTO:
        raise UsageError(
            "--method auto reads the pictures again", hint="pass --images, or another --method"
        )
    if advice:
        _check_advice(target, has_pictures=images is not None or eval_images is not None)
    model = load_onnx(Path(graph))
    read = graph_of(model, Path(graph))
    if read.scheme is not Scheme.FLOAT:
        raise UsageError(
            f"{graph} is already quantized ({read.scheme.value})",
            hint="quantize the graph that convert wrote",
        )
    check_float_nodes(plan, model)
    check_operators(target, model, read.path)
    pictures = (
        gate_only(eval_images, annotations)
        if images is None
        else choose_pictures(Path(images), eval_images, plan, annotations)
    )
    unreadable = Unreadable({})
    judging = images if eval_images is None else eval_images
    judge, mapping = judge_for(
        model,
        read,
        pictures,
        judging,
        plan,
        unreadable,
        annotations=annotations,
        class_map=class_map,
        max_drop=max_drop,
        jobs=jobs,
        progress=progress,
    )
    match = training_match(model, read, pictures, unreadable, force=force, progress=progress)
    divergence, unlike = unlike_training(model, read, pictures)
    found, notes = calibration_for(
        model,
        read,
        pictures,
        plan,
        unreadable,
        given=images is not None,
        jobs=jobs,
        progress=progress,
    )
    emitter = Emitter(found.rescaled(model), chosen, plan, found.statistics, weight_bits_of(target))
    readable = fitted(pictures.calibration, read.preprocess, Unreadable({}))
    probes = [pixels for _, pixels in islice(readable, _PROBE_PICTURES)]
    signature = make_task(read.task, read.preprocess, read.labels).signature
    prober = Prober(emitter.model, chosen, probes, open_model, signature, jobs, emitter.weight_bits)
    emitter = emitter.with_methods(prober, progress)
    int8 = emitter.build()
    verdict: Verdict | None = None
    budgeted: Budgeted | None = None
    layers: tuple[LayerSensitivity, ...] = ()
    if pictures.gate.entries:
        verdict = judge.judge(int8)
        if not verdict.gate.passed and probes:
            layers = _sensitivity(prober, emitter, progress)
            budgeted = keep_budget(verdict, int8, layers, emitter.build, judge.judge)
            int8, verdict = budgeted.int8, budgeted.verdict
    shown = (judge.first_pictures or probes)[:_NOISE_PICTURES]
    noise = tuple(layer_noise(emitter.model, int8, shown, open_model)) if shown else ()
    evidence = {
        **read.evidence,
        "training_match": match,
        "calibration": {
            **_seen(found),
            "divergence": None if divergence is None else round(divergence, 4),
            "scheme": chosen.value,
            **emitter.as_evidence(),
        },
        "accuracy": _accuracy(verdict, budgeted, mapping),
    }
    describe(
        int8,
        task=read.task,
        scheme=chosen,
        preprocess=read.preprocess,
        labels=read.labels,
        evidence=evidence,
    )
    report = QuantizeReport(
        graph=replace(read, path=out, sha256="", scheme=chosen, evidence=evidence),
        target=target,
        emitter=emitter,
        calibration=found,
        verdict=verdict,
        worst_layers=noise,
        sensitivity=layers,
        budgeted=budgeted,
        training_match=str(match["verdict"]),
        unreadable=unreadable.reasons,
        notes=(*pictures.notes, *notes, *unlike, *_untold(match), mapping, *_unjudged(verdict)),
    )
    if verdict is not None and not verdict.gate.passed and not force:
        raise _over_budget(report, verdict)
    written = save_onnx(int8, out)
    report = replace(report, graph=written)
    if not advice:
        return report
    return replace(
        report,
        advice=_advice(read, verdict, written, target, judge.first_pictures or probes, progress),
    )


def _sensitivity(
    prober: Prober, emitter: Emitter, progress: Progress
) -> tuple[LayerSensitivity, ...]:
    macs = multiplications(emitter.model, prober.pictures[0], open_model)
    progress("layer sensitivity", 0, 1)
    found = layer_sensitivity(prober, emitter.placement(), emitter.ranges(), macs)
    progress("layer sensitivity", 1, 1)
    return found


def _check_advice(target: str | None, *, has_pictures: bool) -> None:
    """What would stop the advice, told before the work."""
    if not has_pictures:
        raise UsageError("--advise needs pictures", hint="pass --images or --eval")
    get_backend(load_target(target or _HERE).backend)


def _advice(
    graph: Graph,
    verdict: Verdict | None,
    written: Graph,
    target: str | None,
    pictures: list[Pixels],
    progress: Progress,
) -> Advice:
    gate = None if verdict is None else verdict.gate
    return advise(
        graph,
        written,
        load_target(target or _HERE),
        pictures=pictures,
        int8_inside=gate is not None and gate.verdict == "inside",
        drop="not judged"
        if gate is None or gate.verdict == "unchecked"
        else f"{gate.drop} points of {gate.metric}",
        max_drop=UNLABELLED_MAX_DROP if gate is None else gate.max_drop,
        progress=progress,
    )


def _untold(match: dict[str, Any]) -> tuple[str, ...]:
    """What the training match cannot tell, where there is such."""
    return (f"training match: {match['note']}",) if "note" in match else ()


def _unjudged(verdict: Verdict | None) -> tuple[str, ...]:
    """That the pictures told nothing, where they did not."""
    if verdict is None or verdict.gate.verdict != "unchecked":
        return ()
    return (f"INT8 was not judged: {verdict.gate.note}; pass --annotations, or other pictures",)


def _seen(found: Calibration) -> dict[str, Any]:
    """What calibrated, for the evidence."""
    return {
        "verdict": "seen",
        "pictures": len(found.digests),
        "list_sha256": hashlib.sha256("\n".join(sorted(found.digests)).encode()).hexdigest(),
        "settled": found.convergence.settled,
        "equalized": [done.stream.name for done in found.equalized],
    }


def _accuracy(verdict: Verdict | None, budgeted: Budgeted | None, mapping: str) -> dict[str, Any]:
    """What the gate found and what the budget took, for the evidence."""
    if verdict is None:
        return {"verdict": "unchecked", "note": "no pictures to judge with"}
    accuracy = {**verdict.gate.as_evidence(), "mapping": mapping}
    if budgeted is not None:
        accuracy["float_layers"] = list(budgeted.returned)
        accuracy["float_share"] = round(budgeted.float_share, 4)
    return accuracy


def _over_budget(report: QuantizeReport, verdict: Verdict) -> GateError:
    gate, budgeted = verdict.gate, report.budgeted
    worst = ", ".join(f"{n.layer} ({n.lost_db:.1f} dB)" for n in report.worst_layers[:5])
    tried = "" if budgeted is None else f" even with {len(budgeted.returned)} layers in float"
    more = "pass --images, for layers to return to float; " if budgeted is None else ""
    return GateError(
        f"INT8 loses {gate.drop} points of {gate.metric} on {gate.pictures} pictures{tried}, "
        f"{gate.max_drop:g} allowed; the layers that add most noise: {worst}",
        report=report,
        hint=f"{more}--recipe accurate, more --samples, a larger --max-drop, float_nodes in a "
        "recipe; --force writes the graph all the same",
    )
