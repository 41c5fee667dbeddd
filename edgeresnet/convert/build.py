"""A network of our own definitions, filled with a checkpoint's weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch

from edgeresnet.convert.checkpoint import Checkpoint
from edgeresnet.convert.networks import (
    ARCHITECTURES,
    ResNet,
    ResNetSpec,
    arch_name,
    build,
    infer_spec,
)
from edgeresnet.core.errors import ModelError, UsageError
from edgeresnet.core.schema import nearest

_SHOWN = 4
_READ_ARCH = "leave --arch out to have it read from the weights"


def network_of(
    checkpoint: Checkpoint, arch: str | None, stride_in: str | None
) -> tuple[ResNet, ResNetSpec]:
    """Build the network that the weights belong to and load them, every key accounted for.

    What the weights' shapes tell (depth, width, groups, classes) is read from them; the place of
    the stride is not in the shapes and comes from ``stride_in``, the file, or is v1.5's 3x3.
    """
    spec = _named(arch, checkpoint) if arch else _inferred(checkpoint)
    stride = stride_in or checkpoint.stride_in or "3x3"
    if spec.block == "bottleneck":
        spec = replace(spec, stride_in="1x1" if stride == "1x1" else "3x3")
    elif stride_in == "1x1":
        raise UsageError(
            f"--stride-in 1x1: {arch_name(spec)} has no 1x1 convolution to put the stride in",
            hint="leave the option out",
        )
    network = build(spec)
    check_keys(network, checkpoint, arch_name(spec), _READ_ARCH)
    network.load_state_dict(dict(checkpoint.state), strict=False)
    return network.eval(), spec


def _inferred(checkpoint: Checkpoint) -> ResNetSpec:
    try:
        return infer_spec(checkpoint.shapes)
    except ValueError as error:
        first = ", ".join(list(checkpoint.state)[:3])
        raise ModelError(
            f"{checkpoint.path} is no ResNet that edgeresnet knows: {error} (keys: {first}, ...)",
            hint="another classifier: pass it as package.module:factory, or as an ONNX file",
        ) from error


def _named(arch: str, checkpoint: Checkpoint) -> ResNetSpec:
    if arch not in ARCHITECTURES:
        raise UsageError(f"--arch: no network named {arch!r}", hint=nearest(arch, ARCHITECTURES))
    spec = ARCHITECTURES[arch]
    classes = checkpoint.shapes.get("fc.weight", (spec.classes,))[0]
    stem = checkpoint.shapes.get("conv1.weight", (64,))[0]
    try:
        return replace(spec, classes=classes, width=stem / 64 * spec.width)
    except ValueError:
        return spec


def check_keys(network: torch.nn.Module, checkpoint: Checkpoint, arch: str, hint: str) -> None:
    """Refuse weights that are not those of ``network``, name for name, or are not finite."""
    wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    found = checkpoint.shapes
    optional = {name for name in wanted if name.endswith("num_batches_tracked")}
    problems = [
        _few("missing", [name for name in wanted if name not in found and name not in optional]),
        _few("unexpected", [name for name in found if name not in wanted]),
        _few(
            "misshapen",
            [
                f"{name} {list(found[name])} instead of {list(shape)}"
                for name, shape in wanted.items()
                if name in found and found[name] != shape
            ],
        ),
    ]
    if text := "; ".join(problem for problem in problems if problem):
        raise ModelError(f"{checkpoint.path} does not fit {arch}: {text}", hint=hint)
    _refuse_unfinite(checkpoint.state, checkpoint)


def _refuse_unfinite(state: Mapping[str, torch.Tensor], checkpoint: Checkpoint) -> None:
    for name, tensor in state.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise ModelError(
                f"{checkpoint.path}: {name} holds values that are not finite",
                hint="the training diverged or the file is damaged: take an earlier checkpoint",
            )


def _few(what: str, names: list[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{what}: {', '.join(names[:_SHOWN])}{more}"
