"""A detector of our own definitions, filled with a checkpoint's weights."""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from edgeresnet.convert.build import check_keys
from edgeresnet.convert.checkpoint import Checkpoint
from edgeresnet.convert.networks.decode import Decode, Detector
from edgeresnet.convert.networks.detectors import (
    DetectorSpec,
    build_detector,
    detector_name,
    infer_detector,
    with_stride,
)
from edgeresnet.convert.networks.faster_rcnn import DecodeRegions, FasterRCNN
from edgeresnet.convert.networks.fcos import FCOS
from edgeresnet.convert.networks.fpn import current_names, frozen_eps
from edgeresnet.convert.networks.retinanet import RetinaNet, RetinaNetSpec
from edgeresnet.core.errors import ModelError, UsageError
from edgeresnet.core.preprocess import Crop, Interpolation, Preprocess

AS_TRAINED = Preprocess(
    size=(640, 640),
    resize=None,
    crop=Crop.LETTERBOX,
    interpolation=Interpolation.LINEAR,
)
"""How a detector sees when nobody says otherwise: torchvision's normalisation, a static size."""

_KNOWN = (
    "RetinaNet, FCOS and Faster R-CNN on a ResNet with a feature pyramid are known: all weights as "
    "torchvision names them, and no others"
)


def spec_of(checkpoint: Checkpoint) -> DetectorSpec:
    """The detector that the shapes, and what the file says beside them, belong to."""
    state = current_names(checkpoint.shapes)
    try:
        spec = infer_detector(state, frozen_eps(checkpoint.state))
    except ValueError as error:
        raise ModelError(
            f"{checkpoint.path} is no detector that edgeresnet knows: {error}",
            hint=_KNOWN,
        ) from error
    if checkpoint.smallest_anchor is not None and isinstance(spec, RetinaNetSpec):
        spec = replace(spec, smallest=checkpoint.smallest_anchor)
    if checkpoint.stride_in == "1x1" and spec.backbone.block == "bottleneck":
        spec = with_stride(spec, "1x1")
    return spec


def detector_of(
    checkpoint: Checkpoint,
    arch: str | None,
    stride_in: str | None,
    size: tuple[int, int],
    batch: int,
) -> tuple[nn.Module, DetectorSpec]:
    """The detector with its decoding for pictures of ``size``, weights loaded, every key used."""
    spec = spec_of(checkpoint)
    if arch is not None and arch != detector_name(spec):
        raise UsageError(
            f"--arch: {checkpoint.path} is a {detector_name(spec)}, not {arch!r}",
            hint="leave the option out: a detector is read from its weights",
        )
    if stride_in is not None and spec.backbone.block == "bottleneck":
        spec = with_stride(spec, "1x1" if stride_in == "1x1" else "3x3")
    checkpoint = replace(checkpoint, state=current_names(checkpoint.state))
    network = build_detector(spec)
    check_keys(network, checkpoint, detector_name(spec), _KNOWN)
    network.load_state_dict(dict(checkpoint.state), strict=False)
    try:
        decode = _decode(network, size, batch)
    except ValueError as error:
        raise UsageError(f"--size: {error}", hint="--size 320, 512, 640 or 800") from error
    return Detector(network, decode).eval(), spec


def _decode(
    network: RetinaNet | FCOS | FasterRCNN, size: tuple[int, int], batch: int
) -> Decode | DecodeRegions:
    if not isinstance(network, FasterRCNN):
        return Decode(network, network.spec.classes, size, batch)
    if batch != 1:
        raise UsageError(f"--batch {batch}: Faster R-CNN takes one picture a run")
    return DecodeRegions(network, size)
