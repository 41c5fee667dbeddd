"""Network definitions, with the state-dict names that published checkpoints use."""

from edgeresnet.convert.networks.detectors import (
    DetectorSpec,
    build_detector,
    detector_name,
    infer_detector,
    is_detector,
)
from edgeresnet.convert.networks.faster_rcnn import FasterRCNN, FasterRCNNSpec
from edgeresnet.convert.networks.fcos import FCOS, FCOSSpec
from edgeresnet.convert.networks.resnet import (
    ARCHITECTURES,
    ResNet,
    ResNetSpec,
    arch_name,
    build,
    infer_spec,
)
from edgeresnet.convert.networks.retinanet import RetinaNet, RetinaNetSpec

__all__ = [
    "ARCHITECTURES",
    "FCOS",
    "DetectorSpec",
    "FCOSSpec",
    "FasterRCNN",
    "FasterRCNNSpec",
    "ResNet",
    "ResNetSpec",
    "RetinaNet",
    "RetinaNetSpec",
    "arch_name",
    "build",
    "build_detector",
    "detector_name",
    "infer_detector",
    "infer_spec",
    "is_detector",
]
