"""RetinaNet on any ResNet of the family, with torchvision's state-dict names."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edgeresnet.convert.networks.anchors import RATIOS, decode_deltas, make_anchors
from edgeresnet.convert.networks.fpn import (
    CHANNELS,
    Backbone,
    Extra,
    flatten,
    infer_backbone,
    shape_of,
)
from edgeresnet.convert.networks.resnet import ResNetSpec

SCALES = (0, 1, 2)
"""Anchors of one place and ratio: 2^(scale / 3) times the level's side."""
LEVELS = 5
FINEST = 8
GROUPS = 32
_DEPTH = 4
_PRIOR = 0.01


@dataclass(frozen=True)
class RetinaNetSpec:
    """What distinguishes one RetinaNet from another.

    backbone: its ``classes`` mean nothing here.
    channels: of the pyramid and the heads; at a backbone's width w usually 256 * w.
    norm: GroupNorm of 32 groups behind the heads' convolutions (torchvision's v2).
    extra: what P6 is made of, "p5" (v1) or "c5" (v2).
    smallest: side of the smallest anchor, in pixels, at stride 8; it doubles from level to level.
        It leaves no trace in the weights' shapes.
    eps: of the backbone's BatchNorms.
    """

    backbone: ResNetSpec
    classes: int = 91
    channels: int = CHANNELS
    norm: bool = False
    extra: Extra = "p5"
    smallest: int = 32
    eps: float = 1e-5

    def __post_init__(self) -> None:
        for name in ("classes", "channels", "smallest"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected at least 1")
        if self.extra not in ("p5", "c5"):
            raise ValueError(f"extra is {self.extra!r}, expected 'p5' or 'c5'")
        if self.extra == "c5" and self.backbone.out_channels(3) == self.channels:
            raise ValueError(f"P6 of C5 needs other channels than the pyramid's {self.channels}")
        if self.norm and self.channels % GROUPS:
            raise ValueError(f"channels is {self.channels}, GroupNorm needs a multiple of {GROUPS}")


class Branch(nn.Module):
    """Four convolutions that both branches of the head have, the same for every level."""

    def __init__(self, spec: RetinaNetSpec) -> None:
        super().__init__()
        channels = spec.channels
        self.conv = nn.Sequential(*(_step(channels, norm=spec.norm) for _ in range(_DEPTH)))
        for module in self.conv.modules():
            if isinstance(module, nn.Conv2d):
                draw(module)


def _step(channels: int, *, norm: bool) -> nn.Sequential:
    conv = nn.Conv2d(channels, channels, 3, padding=1, bias=not norm)
    after = [nn.GroupNorm(GROUPS, channels)] if norm else []
    return nn.Sequential(conv, *after, nn.ReLU(inplace=True))


def draw(conv: nn.Conv2d, bias: float = 0.0) -> None:
    """Weights of a head's convolution before training."""
    nn.init.normal_(conv.weight, std=0.01)
    if conv.bias is not None:
        nn.init.constant_(conv.bias, bias)


def rare() -> float:
    """The logit of a class's probability before training: nearly every place is background."""
    return -math.log((1 - _PRIOR) / _PRIOR)


class ClassificationHead(Branch):
    """Every level to logits (N, anchors of a place x classes, H, W)."""

    def __init__(self, spec: RetinaNetSpec) -> None:
        super().__init__(spec)
        anchors = len(RATIOS) * len(SCALES)
        self.cls_logits = nn.Conv2d(spec.channels, anchors * spec.classes, 3, padding=1)
        draw(self.cls_logits, rare())

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        return [self.cls_logits(self.conv(x)) for x in levels]


class RegressionHead(Branch):
    """Every level to deltas (N, anchors of a place x 4, H, W)."""

    def __init__(self, spec: RetinaNetSpec) -> None:
        super().__init__(spec)
        self.bbox_reg = nn.Conv2d(spec.channels, len(RATIOS) * len(SCALES) * 4, 3, padding=1)
        draw(self.bbox_reg)

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        return [self.bbox_reg(self.conv(x)) for x in levels]


class Head(nn.Module):
    """Both branches."""

    def __init__(self, spec: RetinaNetSpec) -> None:
        super().__init__()
        self.classification_head = ClassificationHead(spec)
        self.regression_head = RegressionHead(spec)

    def forward(self, levels: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        return self.classification_head(levels), self.regression_head(levels)


class RetinaNet(nn.Module):
    """Normalised pictures (N, 3, H, W) to class logits (N, anchors, classes) and box deltas.

    H and W are multiples of 32. The order of the anchors is that of :meth:`anchors`.
    """

    def __init__(self, spec: RetinaNetSpec) -> None:
        super().__init__()
        self.spec = spec
        self.backbone = Backbone(spec.backbone, spec.channels, spec.extra, first=2, eps=spec.eps)
        self.head = Head(spec)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        logits, deltas = self.maps(x)
        return flatten(logits, self.spec.classes), flatten(deltas, 4)

    def maps(self, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """The same as the heads' convolutions give it, level by level."""
        logits, deltas = self.head(self.backbone(x))
        return logits, deltas

    def detect(self, x: Tensor, decode: nn.Module) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes, scores and class ids, as ``decode`` has them."""
        found: tuple[Tensor, Tensor, Tensor] = decode(*self.maps(x))
        return found

    def anchors(self, size: tuple[int, int]) -> Tensor:
        """Boxes (anchors, 4), xyxy, for pictures of this height and width."""
        sides = [self.spec.smallest << level for level in range(LEVELS)]
        scaled = [[int(side * 2 ** (scale / 3)) for scale in SCALES] for side in sides]
        return make_anchors(size, FINEST, scaled)

    @staticmethod
    def scores(logits: Tensor, *_: Tensor) -> Tensor:
        """Scores 0 to 1 of logits (..., classes), each class on its own."""
        return torch.sigmoid(logits)

    decode = staticmethod(decode_deltas)


def infer_retinanet(shapes: Mapping[str, tuple[int, ...]], eps: float) -> RetinaNetSpec:
    """The spec, all but ``smallest``, that shapes under current names belong to.

    Raises ValueError that names the key which says that this is no RetinaNet.
    """
    outputs = shape_of(shapes, "head.classification_head.cls_logits.weight", 4)[0]
    each = len(RATIOS) * len(SCALES)
    deltas = shape_of(shapes, "head.regression_head.bbox_reg.weight", 4)[0]
    if outputs % each:
        raise ValueError(
            f"head.classification_head.cls_logits.weight: {outputs} outputs, nine anchors a place "
            "have nine for each class"
        )
    if deltas != each * 4:
        raise ValueError(
            f"head.regression_head.bbox_reg.weight: {deltas} outputs, nine anchors a place have 36"
        )
    backbone, channels, extra = infer_backbone(shapes)
    return RetinaNetSpec(
        backbone,
        classes=outputs // each,
        channels=channels,
        norm="head.classification_head.conv.0.1.weight" in shapes,
        extra=extra,
        eps=eps,
    )
