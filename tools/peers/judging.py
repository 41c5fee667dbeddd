"""Every quantized graph over all views and labelled pictures, and what that says of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from edgeresnet.core.artifacts import Graph
from edgeresnet.core.errors import ParityError
from edgeresnet.core.tensors import Pixels
from edgeresnet.datasets.pictures import Listing, Unreadable, fitted
from edgeresnet.metrics.accuracy import Bools, Floats, paired_drop, same_label, top_k
from edgeresnet.quantize.pictures import true_classes
from peers import engines
from peers.figures import fidelity, largest_difference, more_agreement, percent
from peers.legs import PRESETS, Leg
from peers.progress import told
from peers.views import Views

CROSS_CHECKED = 36
TOLERANCE = 1e-3
OPENVINO, ONNXRUNTIME = "OpenVINO", "ONNX Runtime"
Classes: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Judged:
    """What everybody is judged on, and what the float network says of it."""

    views: Views
    labelled: Pixels
    """The pictures of --eval, fitted whole; none where they have no classes."""
    truth: Classes
    exact: Floats
    """Float logits of the views."""
    right: Bools
    """Labelled pictures on which the float network is right."""


@dataclass(frozen=True)
class Outcome:
    """One quantized graph on one runtime."""

    leg: Leg
    runtime: str
    logits: Floats
    labelled: Floats


def float_judgement(graph: Graph, gate: Listing, views: Views) -> Judged:
    """Run the float network over ``views`` and over the pictures of ``gate`` that have classes."""
    classes = true_classes(gate, graph, None).classes
    with_class = [entry for entry in gate.entries if entry.path in classes]
    read = list(fitted(with_class, graph.preprocess, Unreadable({})))
    height, width = graph.preprocess.size
    labelled = np.array([p for _, p in read], np.uint8).reshape(-1, height, width, 3)
    truth = np.array([classes[entry.path] for entry, _ in read], np.int64)
    told(f"float on {len(views.pixels)} views")
    exact = engines.openvino_logits(graph.path, views.pixels)
    some = np.linspace(0, len(exact) - 1, min(CROSS_CHECKED, len(exact))).astype(int)
    apart = largest_difference(
        exact[some], engines.onnxruntime_logits(graph.path, views.pixels[some])
    )
    if apart > TOLERANCE:
        raise ParityError(f"float on OpenVINO and on ONNX Runtime differ by {apart:.1e}")
    right = hits(labelled_logits(graph.path, labelled), truth)
    return Judged(views, labelled, truth, exact, right)


def labelled_logits(model: Path, labelled: Pixels) -> Floats:
    """OpenVINO's logits of the labelled pictures, if there are any."""
    return engines.openvino_logits(model, labelled) if len(labelled) else np.empty((0, 1), "f4")


def hits(logits: Floats, truth: Classes) -> Bools:
    """Whether each labelled picture is right."""
    return top_k(logits, truth, 1)


def run_all(made: Sequence[Leg], judged: Judged) -> list[Outcome]:
    """Every graph over all pictures on OpenVINO, our unsigned ones on ONNX Runtime as well."""
    outcomes = []
    for leg in made:
        told(f"{leg.name} on {OPENVINO}")
        logits = engines.openvino_logits(leg.result, judged.views.pixels)
        found = Outcome(leg, OPENVINO, logits, labelled_logits(leg.result, judged.labelled))
        outcomes.append(found)
        if leg.scheme == "u8-affine":
            told(f"{leg.name} on {ONNXRUNTIME}")
            logits = engines.onnxruntime_logits(leg.result, judged.views.pixels)
            labelled = found.labelled
            if len(judged.labelled):
                labelled = engines.onnxruntime_logits(leg.result, judged.labelled)
            outcomes.append(Outcome(leg, ONNXRUNTIME, logits, labelled))
    return outcomes


def latencies(
    graph: Path, outcomes: Sequence[Outcome], pictures: Pixels, rounds: int
) -> list[float]:
    """Median milliseconds of the float graph and of every outcome on its runtime, alternating.

    The runtimes take turns as wholes: ONNX Runtime's threads spin after a run, and would take the
    cores from whoever came next.
    """
    told("latency")
    places = [(OPENVINO, graph), *((found.runtime, found.leg.result) for found in outcomes)]
    taken = dict.fromkeys(places, math.nan)
    for runtime, load in (
        (OPENVINO, engines.openvino_run),
        (ONNXRUNTIME, engines.onnxruntime_run),
    ):
        runs = {place: load(place[1]) for place in places if place[0] == runtime}
        taken.update(engines.latencies(runs, pictures, rounds))
    return list(taken.values())


def figures(outcomes: Sequence[Outcome], judged: Judged, times: Sequence[float]) -> dict[str, Any]:
    """All that the report says of the models."""
    sources = judged.views.sources
    theirs = {o.leg.name: o.logits for o in outcomes if o.leg.name in PRESETS}
    models = []
    for found, ms in zip(outcomes, times[1:], strict=True):
        against = theirs if found.leg.ours else {}
        row: dict[str, Any] = {
            "name": found.leg.name,
            "runtime": found.runtime,
            **fidelity(judged.exact, found.logits, sources).as_json(),
            "more_agreement": {
                name: more_agreement(judged.exact, found.logits, logits, sources).as_json()
                for name, logits in against.items()
            },
            "ms": round(ms, 3),
        }
        if len(judged.truth):
            right = hits(found.labelled, judged.truth)
            row["top1"] = round(100 * float(right.mean()), 3)
            row["drop"] = paired_drop(judged.right, right).as_json()
        models.append(row)
    exact: dict[str, Any] = {"runtime": OPENVINO, "ms": round(times[0], 3)}
    if len(judged.truth):
        exact["top1"] = round(100 * float(judged.right.mean()), 3)
    return {"float": exact, "models": models, "runtimes": between(outcomes, judged)}


def between(outcomes: Sequence[Outcome], judged: Judged) -> list[dict[str, Any]]:
    """How often the two runtimes give our same graph the same label."""
    here = {o.leg.name: o.logits for o in outcomes if o.runtime == OPENVINO}
    return [
        {
            "name": o.leg.name,
            "agreement": percent(
                same_label(o.logits, here[o.leg.name]), judged.views.sources
            ).as_json(),
        }
        for o in outcomes
        if o.runtime == ONNXRUNTIME
    ]
