"""Weights of any kind as one thing: a body graph, and what it must stay equal to."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, cast

import numpy as np
import torch

from edgeresnet.backends.onnxruntime.reference import open_model
from edgeresnet.convert.build import network_of
from edgeresnet.convert.checkpoint import Checkpoint, read_checkpoint, read_factory
from edgeresnet.convert.detector import detector_of
from edgeresnet.convert.export import export_module, module_outputs, parameters
from edgeresnet.convert.fold import fold_batchnorms
from edgeresnet.convert.networks import arch_name, detector_name, is_detector
from edgeresnet.convert.onnx_source import read_body
from edgeresnet.convert.parity import Network
from edgeresnet.convert.trained import Trained
from edgeresnet.core.contract import rename_output
from edgeresnet.core.errors import ModelError, UsageError
from edgeresnet.core.files import existing_file, sha256_file
from edgeresnet.core.tensors import BOXES, CLASS_IDS, EMBEDDING, LOGITS, SCORES, Array, Tensors
from edgeresnet.match.moments import NormStatistics
from edgeresnet.match.stride import move_stride, stride_of

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True)
class Body:
    """A network as a body graph, and as what it must stay equal to."""

    name: str
    parameters: int
    body: onnx.ModelProto
    reference: Network
    classes: int
    """0 where it gives none."""


Source: TypeAlias = Checkpoint | torch.nn.Module | Path


def open_weights(weights: Path | str) -> Source:
    """A checkpoint, a module from a factory, or the path of an ONNX file."""
    text = str(weights)
    if ":" in text and not Path(text).exists() and "/" not in text:
        return read_factory(text)
    path = Path(weights)
    if path.suffix == ".onnx":
        return existing_file(path, "weights")
    return read_checkpoint(path)


def source_digest(source: Source) -> str:
    """sha256 of the file that the weights came from."""
    if isinstance(source, Checkpoint):
        return source.sha256
    return sha256_file(source) if isinstance(source, Path) else "factory"


OUTPUTS = {
    "classify": (LOGITS,),
    "embed": (EMBEDDING,),
    "detect": (BOXES, SCORES, CLASS_IDS),
}
"""Of each task's graph."""

_BACKBONE = "backbone.body."
"""The norms of a detector that know what its pictures are like: the classifier's, whose statistics
stayed those of its training when the detector was trained."""


def task_of(source: Source, said: str | None) -> str:
    """What the network is for: as said, or a detector detects and all others classify."""
    boxes = isinstance(source, Checkpoint) and is_detector(source.state)
    task = said or ("detect" if boxes else "classify")
    if task not in OUTPUTS:
        raise UsageError(f"--task: {task!r} is none of {', '.join(OUTPUTS)}")
    if boxes != (task == "detect"):
        kind = "a detector" if boxes else "no detector that edgeresnet has a definition of"
        raise UsageError(f"--task {task}: the weights are those of {kind}")
    if task == "embed" and isinstance(source, Path):
        raise UsageError("--task embed: an ONNX file gives what it gives", hint="pass its weights")
    return task


def make_body(
    source: Source, arch: str | None, trained: Trained, batch: int, task: str = "classify"
) -> tuple[Body, dict[str, NormStatistics]]:
    """The network as ``trained`` says, its BatchNorms folded, and what those knew."""
    height, width = trained.preprocess.size
    if isinstance(source, Path):
        return _from_onnx(source, trained, batch)
    if task == "detect":
        return _detector(cast("Checkpoint", source), arch, trained, batch)
    if isinstance(source, Checkpoint):
        network, spec = network_of(source, arch, trained.stride_in)
        module, name = cast("torch.nn.Module", network), arch_name(spec)
    else:
        module, name = source, type(source).__name__
    if task == "embed":
        module = _without_classifier(module)
    body = export_module(module, (batch, 3, height, width))
    moved = trained.stride_in is not None and stride_of(body) not in ("", trained.stride_in)
    if moved:  # a module of someone else's, whose stride is not the training's
        move_stride(body, str(trained.stride_in))
    run = open_model(body.SerializeToString()) if moved else None
    statistics = fold_batchnorms(body)
    (output,) = OUTPUTS[task]
    rename_output(body, output)

    def reference(x: Array, wanted: Collection[str] | None) -> tuple[Tensors, Mapping[str, Array]]:
        if run is not None:
            return {output: run({"x": x})["y"]}, {}
        given, layers = module_outputs(module, torch.from_numpy(x), wanted)
        return {output: given.numpy()}, layers

    classes = _check_output_shape(reference, (batch, 3, height, width), name)
    classes = classes if task == "classify" else 0  # features have no names
    return Body(name, parameters(module), body, reference, classes), statistics


def _detector(
    checkpoint: Checkpoint, arch: str | None, trained: Trained, batch: int
) -> tuple[Body, dict[str, NormStatistics]]:
    size = trained.preprocess.size
    module, spec = detector_of(checkpoint, arch, trained.stride_in, size, batch)
    outputs = OUTPUTS["detect"]
    body = export_module(module, (batch, 3, *size), outputs)
    statistics = fold_batchnorms(body)

    def reference(x: Array, wanted: Collection[str] | None) -> tuple[Tensors, Mapping[str, Array]]:
        given, layers = module_outputs(module, torch.from_numpy(x), wanted)
        return {name: v.numpy() for name, v in zip(outputs, given, strict=True)}, layers

    known = {k: v for k, v in statistics.items() if k.startswith(_BACKBONE)}
    count = parameters(module)
    return Body(detector_name(spec), count, body, reference, spec.classes), known


def _without_classifier(module: torch.nn.Module) -> torch.nn.Module:
    """A copy that gives what its last linear layer takes."""
    module = copy.deepcopy(module)
    for name in ("fc", "classifier", "head"):
        if isinstance(getattr(module, name, None), torch.nn.Linear | torch.nn.Identity):
            setattr(module, name, torch.nn.Identity())
            return module
    raise UsageError(
        f"--task embed: {type(module).__name__} has no linear layer fc, classifier or head",
        hint="a factory may return the network without it, as a classifier of features",
    )


def _from_onnx(path: Path, trained: Trained, batch: int) -> tuple[Body, dict[str, NormStatistics]]:
    """An ONNX file is its own reference, run as it came but for a moved stride."""
    height, width = trained.preprocess.size
    original, _ = read_body(path, batch)
    body, _ = read_body(path, batch)
    if trained.stride_in and stride_of(body):
        move_stride(original, trained.stride_in)
        move_stride(body, trained.stride_in)
    input_name, output_name = original.graph.input[0].name, original.graph.output[0].name
    run = open_model(original.SerializeToString())

    def reference(x: Array, _: Collection[str] | None) -> tuple[Tensors, Mapping[str, Array]]:
        return {LOGITS: run({input_name: x})[output_name]}, {}

    statistics = fold_batchnorms(body)
    rename_output(body)
    classes = _check_output_shape(reference, (batch, 3, height, width), path.name)
    values = sum(int(np.prod(w.dims)) for w in body.graph.initializer if w.dims)
    return Body(path.stem, values, body, reference, classes), statistics


def _check_output_shape(reference: Network, shape: tuple[int, ...], name: str) -> int:
    outputs, _ = reference(torch.zeros(shape).numpy(), ())
    (logits,) = outputs.values()
    if logits.ndim == 2 and logits.shape[1] < 2:
        raise ModelError(
            f"{name} has a single output, a classifier has one for each of two or more classes",
            hint="a yes/no network: give it two outputs, (0, logit)",
        )
    if logits.ndim != 2 or logits.shape[0] != shape[0]:
        raise ModelError(
            f"{name} gives {list(logits.shape)}, a classifier gives [{shape[0]}, classes]",
            hint="take its last layers off, or end it with a flatten",
        )
    return int(logits.shape[1])
