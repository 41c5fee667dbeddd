"""Checkpoint to contract graph: build, export, fold, check against the training, prove, write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeresnet.backends.onnxruntime.reference import open_model
from edgeresnet.convert.body import Source, make_body, open_weights, source_digest, task_of
from edgeresnet.convert.checkpoint import Checkpoint
from edgeresnet.convert.detector import AS_TRAINED
from edgeresnet.convert.onnx_source import read_body
from edgeresnet.convert.parity import Parity, check_parity, parity_error
from edgeresnet.convert.trained import (
    contradicts,
    mismatch_error,
    said_settings,
)
from edgeresnet.core.artifacts import Graph
from edgeresnet.core.contract import (
    body_of,
    copy_of,
    describe,
    prepend_normalisation,
    save_onnx,
    write_metadata,
)
from edgeresnet.core.errors import UsageError
from edgeresnet.core.files import check_output
from edgeresnet.core.labels import Labels, numbered, read_labels
from edgeresnet.core.preprocess import Preprocess, fit
from edgeresnet.core.progress import Progress, silent
from edgeresnet.core.target import Scheme
from edgeresnet.core.tensors import Pixels
from edgeresnet.datasets.pictures import Unreadable, choose, fitted, list_pictures
from edgeresnet.datasets.procedural import draw_picture
from edgeresnet.match.moments import pack
from edgeresnet.match.probe import FEWEST, PICTURES, TrainingMatch, probe
from edgeresnet.match.seen import as_fitted, seen_by_probe

if TYPE_CHECKING:
    import onnx

_PARITY_PICTURES = 8
_PROBED = {"embed": "classify"}
"""What the probe runs where it is not the task itself: an embedding does not tell how sure the
network is, the layer that is left out does."""


@dataclass(frozen=True)
class ConvertReport:
    """What ``convert`` made and found."""

    graph: Graph
    arch: str
    parameters: int
    parity: Parity
    match: TrainingMatch | None
    training_match: str
    """``matches``, ``picked: …``, ``unchecked``, ``not applicable``."""
    unreadable: Mapping[Path, str] = field(default_factory=dict)


def convert(
    weights: Path | str,
    out: Path | str,
    *,
    arch: str | None = None,
    stride_in: str | None = None,
    classes: Path | str | None = None,
    images: Path | str | None = None,
    batch: int = 1,
    task: str | None = None,
    preprocess: Mapping[str, Any] | None = None,
    force: bool = False,
    progress: Progress = silent,
) -> ConvertReport:
    """Convert trained weights to the contract graph ``out``.

    ``weights`` is a checkpoint (``.pth``, ``.pt``, ``.safetensors``, Keras' ``model.json``), an
    ONNX file, or ``package.module:factory``. ``task`` is ``classify``, ``detect`` (what weights of
    a detector are for without being told) or ``embed``: a classifier's features, without its last
    layer. ``preprocess`` overrides single fields of
    :class:`Preprocess`, as the network was trained. With ``images`` (a folder or CSV of about 20
    pictures like those of the training, labels not needed) the training-match probe picks what was
    not said and refuses what was said wrongly. Raises ParityError when the graph is not the
    network or the settings are not the training's.
    """
    out = check_output(Path(out), force=force)
    source = open_weights(weights)
    known = source if isinstance(source, Checkpoint) else None
    task = task_of(source, task)
    trained = said_settings(
        known.preprocess if known else None,
        known.stride_in if known else None,
        preprocess or {},
        stride_in,
        read_body(source, batch)[1] if isinstance(source, Path) else None,
        AS_TRAINED if task == "detect" else None,
    )
    labels = None if classes is None else read_labels(Path(classes))
    network, statistics = make_body(source, arch, trained, batch, task)
    labels = _labels(labels, source, network.classes, classes, detects=task == "detect")
    seen = seen_by_probe(trained.preprocess, any_size=not isinstance(source, Path))
    pictures, unreadable = _pictures(images, seen)

    match, verdict = None, "unchecked"
    if not statistics:
        verdict = "not applicable"
    elif len(pictures) >= FEWEST:
        body, expected = network.body, statistics
        if seen != trained.preprocess or task in _PROBED or batch != 1:
            as_seen = replace(trained, preprocess=seen)
            probed, expected = make_body(source, arch, as_seen, 1, _PROBED.get(task, task))
            body = probed.body
        match = probe(_named(body, seen), expected, seen, pictures, open_model, progress)
        verdict = "matches"
        if not match.matches:
            best = match.best.candidate
            if contradicts(best, trained, match):
                if not force:
                    raise mismatch_error(match)
                verdict = f"differs: {best.name} (forced)"
            else:
                found = as_fitted(best.preprocess, trained.preprocess)
                trained = replace(trained, preprocess=found, stride_in=best.stride_in)
                network, statistics = make_body(source, arch, trained, batch, task)
                verdict = f"picked: {best.name}"
    progress("parity", 0, 1)
    model = network.body
    prepend_normalisation(model, trained.preprocess, batch)
    fits = seen.size == trained.preprocess.size
    proof = pictures[:_PARITY_PICTURES] if fits and pictures else _drawn(trained.preprocess)
    parity = check_parity(network.reference, model, trained.preprocess, proof, open_model)
    if not parity.holds and not force:
        raise parity_error(parity, str(weights))
    progress("parity", 1, 1)
    evidence = {
        "parity": parity.as_evidence(),
        "training_match": {**(match.as_evidence() if match else {}), "verdict": verdict},
    }
    describe(
        model,
        task=task,
        scheme=Scheme.FLOAT,
        preprocess=trained.preprocess,
        labels=labels,
        evidence=evidence,
    )
    write_metadata(
        model,
        {
            "batchnorm": pack(statistics),
            "source": f"sha256:{source_digest(source)}",
            "arch": network.name,
        },
    )
    graph = save_onnx(model, out)
    return ConvertReport(
        graph, network.name, network.parameters, parity, match, verdict, unreadable.reasons
    )


def _named(body: onnx.ModelProto, preprocess: Preprocess) -> onnx.ModelProto:
    """A copy with the contract's name of its input, for the probe."""
    copy = copy_of(body)
    prepend_normalisation(copy, preprocess, 1)
    return body_of(copy)


def _pictures(images: Path | str | None, preprocess: Preprocess) -> tuple[list[Pixels], Unreadable]:
    unreadable = Unreadable({})
    if images is None:
        return [], unreadable
    listing = list_pictures(Path(images), "--images")
    chosen = choose(listing.entries, PICTURES, seed=0)
    pixels = [fit_ for _, fit_ in fitted(chosen, preprocess, unreadable)]
    unreadable.raise_if_all(len(pixels), "--images")
    return pixels, unreadable


def _drawn(preprocess: Preprocess) -> list[Pixels]:
    """Drawn pictures, where no others are given."""
    scenes = (draw_picture(i, seed=3, size=(256, 256)) for i in range(4))
    return [fit(scene.pixels, preprocess) for scene in scenes]


def _labels(
    labels: Labels | None, source: Source, classes: int, option: Any, *, detects: bool
) -> Labels:
    if labels is not None and len(labels) != classes:
        background = "torchvision's detectors count the background as class 0: name it first"
        raise UsageError(
            f"--classes: {option} names {len(labels)} classes, the network has {classes}",
            hint=background if detects and len(labels) == classes - 1 else "",
        )
    if labels is None and isinstance(source, Checkpoint) and source.labels is not None:
        labels = source.labels if len(source.labels) == classes else None
    return labels or numbered(classes)
