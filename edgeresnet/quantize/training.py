"""What the BatchNorms say about the calibration pictures: the right settings, the right kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgeresnet.backends.onnxruntime.reference import open_model
from edgeresnet.core.artifacts import Graph
from edgeresnet.core.contract import NORMALISED, body_of, read_metadata
from edgeresnet.core.errors import ParityError
from edgeresnet.core.progress import Progress
from edgeresnet.datasets.pictures import Unreadable, fitted
from edgeresnet.match.moments import divergences, moments_of, unpack, with_moments
from edgeresnet.match.probe import FEWEST, PICTURES, TrainingMatch, probe
from edgeresnet.match.seen import seen_by_probe
from edgeresnet.quantize.pictures import Pictures

if TYPE_CHECKING:
    import onnx

_LOOK = 16
_UNLIKE = 0.05
"""Divergence above which pictures are not the training's kind. Measured on a ResNet-50 with 8 to 32
pictures: photographs of its kind 0.004 to 0.016, the same at a third of the light 0.057, one frame
over and over 0.09, blood cells 0.16, noise 0.6."""


def training_match(
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
    decoded = graph.task == "detect"  # for the graph's own size, which need not be the probe's
    seen = seen_by_probe(graph.preprocess, any_size=decoded)
    every = (*pictures.calibration, *pictures.gate.entries)
    chosen = fitted(every[:PICTURES], seen, unreadable)
    pixels = [picture for _, picture in chosen]
    if len(pixels) < FEWEST:
        return found
    match: TrainingMatch = probe(
        body_of(model), statistics, seen, pixels, open_model, progress, any_size=decoded
    )
    if not match.matches and not force:
        best = match.best
        raise ParityError(
            f"{graph.path}: the pictures fit the training clearly better with "
            f"{best.candidate.name!r} (divergence {best.divergence:.4f} instead of "
            f"{match.verdicts[0].divergence:.4f})",
            hint=f"convert again with {best.candidate.option}, or with --images",
        )
    return match.as_evidence()


def unlike_training(
    model: onnx.ModelProto, graph: Graph, pictures: Pictures
) -> tuple[float | None, tuple[str, ...]]:
    """How far the calibration pictures are from what the BatchNorms saw, and a warning if far.

    Geometric mean over the layers of the divergence of :func:`divergences`; None where the graph
    holds no statistics or fewer than eight pictures are readable, and of a detector, whose norms
    saw the pictures of another training: a classifier's.
    """
    if graph.task == "detect":
        return None, ()
    statistics = unpack(read_metadata(model).get("batchnorm", "{}"))
    readable = fitted(pictures.calibration[:_LOOK], graph.preprocess, Unreadable({}))
    pixels = [picture for _, picture in readable]
    if not statistics or len(pixels) < FEWEST:
        return None, ()
    run = open_model(with_moments(body_of(model), list(statistics)))
    rows = [run({NORMALISED: graph.preprocess.normalise(picture[None])}) for picture in pixels]
    layers = divergences(
        moments_of(rows, statistics), list(statistics.values()), np.ones(len(pixels))
    )
    found = float(np.exp(np.log(layers).mean()))
    if found <= _UNLIKE:
        return found, ()
    note = (
        f"the calibration pictures are unlike those of the training (divergence {found:.2f}, above "
        f"{_UNLIKE:g}): right if the camera sees such, else calibrate with what it sees"
    )
    return found, (note,)
