"""A ResNet with a feature pyramid on top, with torchvision's state-dict names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn

from edgeresnet.convert.networks.resnet import ResNet, ResNetSpec, infer_spec

Extra = Literal["pool", "p5", "c5"]
"""What lies above P5: one subsampled map, or P6 and P7 by convolution of P5 or of C5."""

CHANNELS = 256
"""Channels of every level at full width."""
DIVISOR = 32
"""Height and width must be multiples of this, so that each level is half of the last."""

BODY = "backbone.body."
_FPN = "backbone.fpn."
_Value = TypeVar("_Value")


class TopLevels(nn.Module):
    """P6 and P7, each a strided convolution."""

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        self.p6 = nn.Conv2d(inputs, channels, 3, 2, 1)
        self.p7 = nn.Conv2d(channels, channels, 3, 2, 1)

    def forward(self, x: Tensor) -> list[Tensor]:
        p6 = self.p6(x)
        return [p6, self.p7(torch.relu(p6))]


class FeaturePyramid(nn.Module):
    """The backbone's maps, finest first, to as many maps of equal channels and those above."""

    def __init__(self, inputs: tuple[int, ...], channels: int, extra: Extra) -> None:
        super().__init__()
        self.extra = extra
        self.inner_blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(count, channels, 1)) for count in inputs
        )
        self.layer_blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1)) for _ in inputs
        )
        if extra != "pool":
            self.extra_blocks = TopLevels(inputs[-1] if extra == "c5" else channels, channels)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, a=1)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]  # each has one

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        merged = [self.inner_blocks[-1](maps[-1])]
        for i in range(len(maps) - 2, -1, -1):
            coarser = nn.functional.interpolate(merged[0], scale_factor=2.0, mode="nearest")
            merged.insert(0, self.inner_blocks[i](maps[i]) + coarser)
        levels = [block(x) for block, x in zip(self.layer_blocks, merged, strict=True)]
        if self.extra == "pool":
            return [*levels, nn.functional.max_pool2d(levels[-1], 1, 2)]
        return [*levels, *self.extra_blocks(maps[-1] if self.extra == "c5" else levels[-1])]


class Body(ResNet):
    """A ResNet without its classifier: all its stages' maps, finest first."""

    def __init__(self, spec: ResNetSpec, eps: float) -> None:
        super().__init__(spec)
        del self.avgpool, self.fc
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, nn.BatchNorm2d):
                module.eps = eps

    def forward(self, x: Tensor) -> list[Tensor]:  # type: ignore[override]  # maps, not logits
        return list(self.features(x))


class Backbone(nn.Module):
    """Normalised pictures, sides multiples of 32, to the pyramid's maps, finest first.

    ``first`` is the stage of the finest level: 1 for P2 (Faster R-CNN), 2 for P3.
    """

    def __init__(
        self, spec: ResNetSpec, channels: int, extra: Extra, first: int, eps: float = 1e-5
    ) -> None:
        super().__init__()
        self.first = first
        self.body = Body(spec, eps)
        inputs = tuple(spec.out_channels(stage) for stage in range(first - 1, 4))
        self.fpn = FeaturePyramid(inputs, channels, extra)

    def forward(self, x: Tensor) -> list[Tensor]:
        levels: list[Tensor] = self.fpn(self.body(x)[self.first - 1 :])
        return levels


def flatten(maps: list[Tensor], columns: int) -> Tensor:
    """Maps (N, anchors of a place x columns, H, W) to (N, all anchors, columns).

    Level by level, each row by row, as :mod:`~edgeresnet.convert.networks.anchors` orders them.
    """
    flat = []
    for level in maps:
        n, channels, height, width = (int(d) for d in level.shape)
        rows = height * width * channels // columns
        flat.append(level.permute(0, 2, 3, 1).reshape(n, rows, columns))
    return torch.cat(flat, 1)


def current_names(state: Mapping[str, _Value]) -> dict[str, _Value]:
    """The names that torchvision 0.13 and later give; COCO's first files have earlier ones."""
    fcos = _fcos(state)
    renamed = {}
    for key, value in state.items():
        name = re.sub(r"(\.(?:inner|layer)_blocks\.\d+)\.(weight|bias)$", r"\1.0.\2", key)
        name = re.sub(r"^(rpn\.head\.conv)\.(weight|bias)$", r"\1.0.0.\2", name)
        if not fcos:
            name = re.sub(r"(_head\.conv)\.(\d+)\.(weight|bias)$", _halved, name)
        renamed[name] = value
    return renamed


def _halved(found: re.Match[str]) -> str:
    stem, place, kind = found.groups()
    return f"{stem}.{int(place) // 2}.0.{kind}"


def frozen_eps(names: Mapping[str, object]) -> float:
    """The epsilon of the BatchNorms that a checkpoint of a detector was trained with.

    torchvision trained its first COCO detectors with frozen BatchNorms without an epsilon, and sets
    it to 0 when it loads them. They are told by their names: no count of batches, and the pyramid's
    of before 0.13. FCOS, which has those names as well, and all later ones have 1e-5.
    """
    counted = any(name.endswith("num_batches_tracked") for name in names)
    first = f"{_FPN}inner_blocks.0.weight" in names and not counted and not _fcos(names)
    return 0.0 if first else 1e-5


def _fcos(names: Mapping[str, object]) -> bool:
    return any(".bbox_ctrness." in name for name in names)


def infer_backbone(shapes: Mapping[str, tuple[int, ...]]) -> tuple[ResNetSpec, int, Extra]:
    """The ResNet, the pyramid's channels and what lies above P5, of a detector's shapes."""
    body = {k.removeprefix(BODY): s for k, s in shapes.items() if k.startswith(BODY)}
    if not body:
        raise ValueError(f"{BODY}conv1.weight: missing, so this is no detector that is known")
    last = max((k for k in body if k.startswith("layer4.0.conv")), default="")
    outputs = body[last][0] if last else 0
    spec = infer_spec({**body, "fc.weight": (1, outputs), "fc.bias": (1,)})
    channels = shape_of(shapes, f"{_FPN}inner_blocks.0.0.weight", 4)[0]
    p6 = shapes.get(f"{_FPN}extra_blocks.p6.weight")
    if p6 is None:
        return spec, channels, "pool"
    return spec, channels, "p5" if p6[1] == channels else "c5"


def shape_of(shapes: Mapping[str, tuple[int, ...]], key: str, rank: int) -> tuple[int, ...]:
    """The shape under ``key``, or the ValueError that names what is missing or misshapen."""
    if key not in shapes:
        raise ValueError(f"{key}: missing")
    shape = tuple(shapes[key])
    if len(shape) != rank or min(shape) < 1:
        raise ValueError(f"{key}: shape {shape}, expected {rank} dimensions of at least 1")
    return shape
