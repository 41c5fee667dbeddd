"""Which detector a checkpoint's weights belong to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeAlias

from edgeresnet.convert.networks.faster_rcnn import (
    FasterRCNN,
    FasterRCNNSpec,
    infer_faster_rcnn,
)
from edgeresnet.convert.networks.fcos import FCOS, FCOSSpec, infer_fcos
from edgeresnet.convert.networks.fpn import BODY
from edgeresnet.convert.networks.resnet import ResNetSpec, StrideIn, arch_name
from edgeresnet.convert.networks.retinanet import RetinaNet, RetinaNetSpec, infer_retinanet

DetectorSpec: TypeAlias = RetinaNetSpec | FCOSSpec | FasterRCNNSpec


def is_detector(names: Mapping[str, object]) -> bool:
    """Whether weights of these names are a detector's, of a kind that is known or not."""
    return any(name.startswith(BODY) for name in names)


def infer_detector(shapes: Mapping[str, tuple[int, ...]], eps: float = 1e-5) -> DetectorSpec:
    """The spec that a state dict of these shapes, under current names, belongs to.

    Raises ValueError, naming a key, when it is none that is known.
    """
    if any(name.startswith("rpn.") for name in shapes):
        return infer_faster_rcnn(shapes, eps)
    if "head.regression_head.bbox_ctrness.weight" in shapes:
        return infer_fcos(shapes, eps)
    return infer_retinanet(shapes, eps)


def build_detector(spec: DetectorSpec) -> RetinaNet | FCOS | FasterRCNN:
    """A network of this spec, its weights drawn, in training mode."""
    if isinstance(spec, FasterRCNNSpec):
        return FasterRCNN(spec)
    return RetinaNet(spec) if isinstance(spec, RetinaNetSpec) else FCOS(spec)


def with_stride(spec: DetectorSpec, stride_in: StrideIn) -> DetectorSpec:
    """The same with its bottlenecks' stride in that convolution."""
    backbone: ResNetSpec = replace(spec.backbone, stride_in=stride_in)
    return replace(spec, backbone=backbone)


def detector_name(spec: DetectorSpec) -> str:
    """Torchvision's name, with the backbone's: ``retinanet_resnet50_fpn_v2``."""
    backbone = arch_name(spec.backbone)
    if isinstance(spec, FCOSSpec):
        return f"fcos_{backbone}_fpn"
    if isinstance(spec, FasterRCNNSpec):
        return f"fasterrcnn_{backbone}_fpn"
    return f"retinanet_{backbone}_fpn{'_v2' if spec.norm else ''}"
