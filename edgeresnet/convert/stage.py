"""Checkpoint to contract graph: build, export, fold, check against the training, prove, write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from pydantic import ValidationError

from edgeresnet.backends.onnxruntime.reference import open_model
from edgeresnet.convert.build import network_of
from edgeresnet.convert.checkpoint import Checkpoint, read_checkpoint, read_factory
from edgeresnet.convert.export import export_module, module_outputs, parameters
from edgeresnet.convert.fold import fold_batchnorms
from edgeresnet.convert.networks import arch_name
from edgeresnet.convert.onnx_source import read_body
from edgeresnet.convert.parity import Network, Parity, check_parity, parity_error
from edgeresnet.core.artifacts import Graph
from edgeresnet.core.errors import ModelError, ParityError, UsageError
from edgeresnet.core.files import check_output, existing_file, sha256_file
from edgeresnet.core.labels import Labels, numbered, read_labels
from edgeresnet.core.preprocess import Color, Preprocess, fit
from edgeresnet.core.progress import Progress, silent
from edgeresnet.core.target import Scheme
from edgeresnet.core.tensors import Array, Pixels
from edgeresnet.datasets.pictures import Unreadable, choose, fitted, list_pictures
from edgeresnet.datasets.procedural import draw_picture
from edgeresnet.match.candidates import Candidate
from edgeresnet.core.contract import (
    NORMALISED,
    body_of,
    describe,
    prepend_normalisation,
    rename_output,
    save_onnx,
    write_metadata,
)
from edgeresnet.match.stride import move_stride, stride_of
from edgeresnet.match.probe import (
    FEWEST,
    PICTURES,
    NormStatistics,
    TrainingMatch,
    pack,
    probe,
)

if TYPE_CHECKING:
    import onnx

_PARITY_PICTURES = 8


@dataclass(frozen=True)
class Trained:
    """How the network was trained to see, as far as someone said so; the rest is defaults."""

    preprocess: Preprocess
    stride_in: str | None
    said: frozenset[str]
    """Which of ``color``, ``normalisation`` and ``stride_in`` were said: by option or file."""


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


@dataclass(frozen=True)
class _Network:
    """A network as a body graph, and as what it must stay equal to."""

    name: str
    parameters: int
    body: onnx.ModelProto
    reference: Network
    classes: int


def convert(
    weights: Path | str,
    out: Path | str,
    *,
    arch: str | None = None,
    stride_in: str | None = None,
    classes: Path | str | None = None,
    images: Path | str | None = None,
    batch: int = 1,
    preprocess: Mapping[str, Any] | None = None,
    force: bool = False,
    progress: Progress = silent,
) -> ConvertReport:
    """Convert trained weights to the contract graph ``out``.

    ``weights`` is a checkpoint (``.pth``, ``.pt``, ``.safetensors``, Keras' ``model.json``), an
    ONNX file, or ``package.module:factory``. ``preprocess`` overrides single fields of
    :class:`Preprocess`, as the network was trained. With ``images`` (a folder or CSV of about 20
    pictures like those of the training, labels not needed) the training-match probe picks what was
    not said and refuses what was said wrongly. Raises ParityError when the graph is not the
    network or the settings are not the training's.
    """
    out = check_output(Path(out), force=force)
    checkpoint = _open(weights)
    trained = _said(checkpoint, preprocess or {}, stride_in)
    if isinstance(checkpoint, Path):
        body, size = read_body(checkpoint, batch)
        if size is not None and "size" not in (preprocess or {}):
            trained = replace(trained, preprocess=_resized(trained.preprocess, size))
    labels = None if classes is None else read_labels(Path(classes))
    pictures, unreadable = _pictures(images, trained.preprocess)
    network, statistics = _network(checkpoint, arch, trained, batch)
    labels = _labels(labels, checkpoint, network.classes, classes)

    match, verdict = None, "unchecked"
    if not statistics:
        verdict = "not applicable"
    elif len(pictures) >= FEWEST:
        body, given = _one_picture(network.body), trained.preprocess
        match = probe(body, statistics, given, pictures, open_model, progress)
        verdict = "matches"
        if not match.matches:
            best = match.best.candidate
            _refuse_what_was_said(best, trained, match, force=force)
            trained = replace(trained, preprocess=best.preprocess, stride_in=best.stride_in)
            network, statistics = _network(checkpoint, arch, trained, batch)
            verdict = f"picked: {best.name}"
    progress("parity", 0, 1)
    model = network.body
    prepend_normalisation(model, trained.preprocess, batch)
    proof = pictures[:_PARITY_PICTURES] or _drawn(trained.preprocess)
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
        task="classify",
        scheme=Scheme.FLOAT,
        preprocess=trained.preprocess,
        labels=labels,
        evidence=evidence,
    )
    write_metadata(
        model,
        {
            "batchnorm": pack(statistics),
            "source": f"sha256:{_digest(checkpoint)}",
            "arch": network.name,
        },
    )
    graph = save_onnx(model, out)
    return ConvertReport(
        graph, network.name, network.parameters, parity, match, verdict, unreadable.reasons
    )


Source = Checkpoint | torch.nn.Module | Path


def _open(weights: Path | str) -> Source:
    text = str(weights)
    if ":" in text and not Path(text).exists() and "/" not in text:
        return read_factory(text)
    path = Path(weights)
    if path.suffix == ".onnx":
        return existing_file(path, "weights")
    return read_checkpoint(path)


def _digest(source: Source) -> str:
    if isinstance(source, Checkpoint):
        return source.sha256
    return sha256_file(source) if isinstance(source, Path) else "factory"


_NORMALISATION = ("scale", "mean", "std")


def _said(source: Source, overrides: Mapping[str, Any], stride_in: str | None) -> Trained:
    """Defaults, under what the file says, under what the options say."""
    base, said = Preprocess(), set()
    if isinstance(source, Checkpoint):
        if source.preprocess is not None:
            base = source.preprocess
            said |= {"color", "normalisation"}
        if source.stride_in is not None:
            said.add("stride_in")
        stride_in = stride_in or source.stride_in
    if "color" in overrides:
        said.add("color")
    if any(key in overrides for key in _NORMALISATION):
        said.add("normalisation")
    if stride_in is not None:
        said.add("stride_in")
    changes = dict(overrides)
    size = changes.get("size")
    if size is not None and "resize" not in changes:
        changes["resize"] = _resize_for(size)
    if changes.get("color") == Color.BGR and base.color is Color.RGB:  # same physical channels
        changes.setdefault("mean", base.mean[::-1])
        changes.setdefault("std", base.std[::-1])
    try:
        preprocess = Preprocess.model_validate({**base.model_dump(), **changes})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        message = f"{where} {first['msg'].removeprefix('Value error, ')}".strip()
        raise UsageError(f"preprocessing: {message}") from error
    return Trained(preprocess, stride_in, frozenset(said))


def _resize_for(size: tuple[int, int]) -> int:
    """The shorter side that keeps torchvision's proportion of 256 to 224."""
    return round(max(size) * 256 / 224)


def _resized(preprocess: Preprocess, size: tuple[int, int]) -> Preprocess:
    if size == preprocess.size:
        return preprocess
    return preprocess.model_copy(update={"size": size, "resize": _resize_for(size)})


def _network(
    source: Source, arch: str | None, trained: Trained, batch: int
) -> tuple[_Network, dict[str, NormStatistics]]:
    height, width = trained.preprocess.size
    if isinstance(source, Path):
        return _from_onnx(source, trained, batch)
    if isinstance(source, Checkpoint):
        module, spec = network_of(source, arch, trained.stride_in)
        name = arch_name(spec)
    else:
        module, name = source, type(source).__name__
    body = export_module(module, (batch, 3, height, width))
    statistics = fold_batchnorms(body)
    rename_output(body)

    def reference(x: Array) -> tuple[Array, Mapping[str, Array]]:
        logits, layers = module_outputs(module, torch.from_numpy(x))
        return logits.numpy(), layers

    classes = _check_output_shape(reference, (batch, 3, height, width), name)
    return _Network(name, parameters(module), body, reference, classes), statistics


def _from_onnx(
    path: Path, trained: Trained, batch: int
) -> tuple[_Network, dict[str, NormStatistics]]:
    """An ONNX file is its own reference, run as it came but for a moved stride."""
    height, width = trained.preprocess.size
    original, _ = read_body(path, batch)
    body, _ = read_body(path, batch)
    if trained.stride_in and stride_of(body):
        move_stride(original, trained.stride_in)
        move_stride(body, trained.stride_in)
    input_name, output_name = original.graph.input[0].name, original.graph.output[0].name
    run = open_model(original.SerializeToString())

    def reference(x: Array) -> tuple[Array, Mapping[str, Array]]:
        return run({input_name: x})[output_name], {}

    statistics = fold_batchnorms(body)
    rename_output(body)
    classes = _check_output_shape(reference, (batch, 3, height, width), path.name)
    values = sum(int(torch.tensor(w.dims).prod()) for w in body.graph.initializer if w.dims)
    return _Network(path.stem, values, body, reference, classes), statistics


def _check_output_shape(reference: Network, shape: tuple[int, ...], name: str) -> int:
    logits, _ = reference(torch.zeros(shape).numpy())
    if logits.ndim != 2 or logits.shape[0] != shape[0]:
        raise ModelError(
            f"{name} gives {list(logits.shape)}, a classifier gives [{shape[0]}, classes]",
            hint="take its last layers off, or end it with a flatten",
        )
    return int(logits.shape[1])


def _one_picture(body: onnx.ModelProto) -> onnx.ModelProto:
    """The body with batch 1 and its contract input name, for the probe."""
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(body)
    prepend_normalisation(copy, Preprocess(), 1)
    single = body_of(copy)
    shape = body.graph.input[0].type.tensor_type.shape.dim
    height, width = shape[2].dim_value, shape[3].dim_value
    value = onnx.helper.make_tensor_value_info(NORMALISED, 1, [1, 3, height, width])
    single.graph.input[0].CopyFrom(value)
    return single


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


def _labels(labels: Labels | None, source: Source, classes: int, option: Any) -> Labels:
    if labels is not None and len(labels) != classes:
        raise UsageError(
            f"--classes: {option} names {len(labels)} classes, the network has {classes}"
        )
    if labels is None and isinstance(source, Checkpoint) and source.labels is not None:
        labels = source.labels if len(source.labels) == classes else None
    return labels or numbered(classes)


def _refuse_what_was_said(
    best: Candidate, trained: Trained, match: TrainingMatch, *, force: bool
) -> None:
    given = match.verdicts[0].candidate
    wrong = best.ways(given) & trained.said
    if wrong and not force:
        raise ParityError(
            f"the preprocessing or stride given is not the training's: with {best.name!r} the "
            f"BatchNorm statistics fit clearly better (divergence {match.best.divergence:.4f} "
            f"instead of {match.verdicts[0].divergence:.4f} on {match.pictures} pictures)",
            hint=f"pass {best.option}, or leave the option out and let --images decide",
        )
