"""FCOS on any ResNet of the family, with torchvision's state-dict names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edgeresnet.convert.networks.anchors import decode_distances, make_anchors
from edgeresnet.convert.networks.fpn import (
    CHANNELS,
    Backbone,
    Extra,
    flatten,
    infer_backbone,
    shape_of,
)
from edgeresnet.convert.networks.resnet import ResNetSpec
from edgeresnet.convert.networks.retinanet import FINEST, GROUPS, LEVELS, draw, rare

_DEPTH = 4


@dataclass(frozen=True)
class FCOSSpec:
    """What distinguishes one FCOS from another.

    backbone: its ``classes`` mean nothing here.
    channels: of the pyramid and the heads, a multiple of 32 for their GroupNorms.
    extra: what P6 is made of; torchvision's is "p5".
    eps: of the backbone's BatchNorms.
    """

    backbone: ResNetSpec
    classes: int = 91
    channels: int = CHANNELS
    extra: Extra = "p5"
    eps: float = 1e-5

    def __post_init__(self) -> None:
        if self.classes < 1:
            raise ValueError(f"classes is {self.classes}, expected at least 1")
        if self.channels < 1 or self.channels % GROUPS:
            raise ValueError(f"channels is {self.channels}, GroupNorm needs a multiple of {GROUPS}")
        if self.extra not in ("p5", "c5"):
            raise ValueError(f"extra is {self.extra!r}, expected 'p5' or 'c5'")
        if self.extra == "c5" and self.backbone.out_channels(3) == self.channels:
            raise ValueError(f"P6 of C5 needs other channels than the pyramid's {self.channels}")


class Branch(nn.Module):
    """Four convolutions with GroupNorm that both branches of the head have."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        steps: list[nn.Module] = []
        for _ in range(_DEPTH):
            conv = nn.Conv2d(channels, channels, 3, padding=1)
            draw(conv)
            steps += [conv, nn.GroupNorm(GROUPS, channels), nn.ReLU(inplace=True)]
        self.conv = nn.Sequential(*steps)


class ClassificationHead(Branch):
    """Every level to logits (N, classes, H, W)."""

    def __init__(self, spec: FCOSSpec) -> None:
        super().__init__(spec.channels)
        self.cls_logits = nn.Conv2d(spec.channels, spec.classes, 3, padding=1)
        draw(self.cls_logits, rare())

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        return [self.cls_logits(self.conv(x)) for x in levels]


class RegressionHead(Branch):
    """Every level to distances (N, 4, H, W) of at least 0, and logits of centerness."""

    def __init__(self, spec: FCOSSpec) -> None:
        super().__init__(spec.channels)
        self.bbox_reg = nn.Conv2d(spec.channels, 4, 3, padding=1)
        self.bbox_ctrness = nn.Conv2d(spec.channels, 1, 3, padding=1)
        draw(self.bbox_reg)
        draw(self.bbox_ctrness)

    def forward(self, levels: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        steps = [self.conv(x) for x in levels]
        distances = [torch.relu(self.bbox_reg(x)) for x in steps]
        return distances, [self.bbox_ctrness(x) for x in steps]


class Head(nn.Module):
    """Both branches."""

    def __init__(self, spec: FCOSSpec) -> None:
        super().__init__()
        self.classification_head = ClassificationHead(spec)
        self.regression_head = RegressionHead(spec)

    def forward(self, levels: list[Tensor]) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        logits = self.classification_head(levels)
        return (logits, *self.regression_head(levels))


class FCOS(nn.Module):
    """Normalised pictures to class logits (N, places, classes), distances and centerness.

    Height and width are multiples of 32. Distances are those from a place to the box's left, top,
    right and bottom side, in strides of the level; the order of the places is that of
    :meth:`anchors`.
    """

    def __init__(self, spec: FCOSSpec) -> None:
        super().__init__()
        self.spec = spec
        self.backbone = Backbone(spec.backbone, spec.channels, spec.extra, first=2, eps=spec.eps)
        self.head = Head(spec)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        logits, distances, centerness = self.maps(x)
        return (
            flatten(logits, self.spec.classes),
            flatten(distances, 4),
            flatten(centerness, 1),
        )

    def maps(self, x: Tensor) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """The same as the heads' convolutions give it, level by level."""
        logits, distances, centerness = self.head(self.backbone(x))
        return logits, distances, centerness

    def detect(self, x: Tensor, decode: nn.Module) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes, scores and class ids, as ``decode`` has them."""
        found: tuple[Tensor, Tensor, Tensor] = decode(*self.maps(x))
        return found

    def anchors(self, size: tuple[int, int]) -> Tensor:
        """A box of one stride around each place (places, 4), xyxy."""
        return make_anchors(size, FINEST, [[FINEST << level] for level in range(LEVELS)], [1.0])

    @staticmethod
    def scores(logits: Tensor, *others: Tensor) -> Tensor:
        """Scores 0 to 1 of logits (..., classes) and centerness (..., 1): the geometric mean."""
        return torch.sqrt(torch.sigmoid(logits) * torch.sigmoid(others[0]))

    decode = staticmethod(decode_distances)


def infer_fcos(shapes: Mapping[str, tuple[int, ...]], eps: float) -> FCOSSpec:
    """The spec that shapes under current names belong to.

    Raises ValueError that names the key which says that this is no FCOS.
    """
    classes = shape_of(shapes, "head.classification_head.cls_logits.weight", 4)[0]
    shape_of(shapes, "head.regression_head.bbox_ctrness.weight", 4)
    backbone, channels, extra = infer_backbone(shapes)
    return FCOSSpec(backbone, classes=classes, channels=channels, extra=extra, eps=eps)
