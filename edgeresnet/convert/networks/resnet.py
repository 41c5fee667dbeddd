"""The ResNet family, with torchvision's state-dict names."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

Block = Literal["basic", "bottleneck"]
StrideIn = Literal["3x3", "1x1"]

STEM_CHANNELS = 64
SE_REDUCTION = 16
EXPANSION: dict[Block, int] = {"basic": 1, "bottleneck": 4}


@dataclass(frozen=True)
class ResNetSpec:
    """What distinguishes one ResNet from another.

    block: "basic" is two 3x3 convolutions (18, 34), "bottleneck" is 1x1, 3x3, 1x1 (50 and deeper).
    layers: number of blocks in layer1 to layer4.
    groups, width_per_group: of the bottleneck's 3x3 convolution; ResNeXt-50 32x4d is (32, 4),
        Wide-ResNet-50-2 is (1, 128).
    se: squeeze-and-excitation on each block's residual branch, reduction 16, as `se.fc1`, `se.fc2`
        (1x1 convolutions with bias, timm's names).
    stride_in: the bottleneck convolution that carries the stride of layer2 to layer4: "3x3" is
        v1.5 (torchvision, timm, NVIDIA), "1x1" is v1 (the paper, Caffe, Keras). It leaves no trace
        in the weights' shapes.
    width: multiplier of all channel counts; the stem has 64 * width channels.
    """

    block: Block
    layers: tuple[int, int, int, int]
    groups: int = 1
    width_per_group: int = 64
    se: bool = False
    stride_in: StrideIn = "3x3"
    width: float = 1.0
    classes: int = 1000
    in_channels: int = 3

    def __post_init__(self) -> None:
        if self.block not in EXPANSION:
            raise ValueError(f"block is {self.block!r}, expected 'basic' or 'bottleneck'")
        if self.stride_in not in ("3x3", "1x1"):
            raise ValueError(f"stride_in is {self.stride_in!r}, expected '3x3' or '1x1'")
        if len(self.layers) != 4 or min(self.layers) < 1:
            raise ValueError(f"layers is {self.layers}, expected four counts of at least 1")
        for name in ("groups", "width_per_group", "classes", "in_channels"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected at least 1")
        if self.block == "basic" and (self.groups, self.width_per_group) != (1, 64):
            raise ValueError("basic blocks take groups=1 and width_per_group=64 only")
        if self.block == "basic" and self.stride_in == "1x1":
            raise ValueError("basic blocks have no 1x1 convolution to put the stride in")
        if self.stem_channels < 1 or self.stem_channels != STEM_CHANNELS * self.width:
            raise ValueError(f"width is {self.width}, expected a positive multiple of 1/64")
        if self.inner_channels(0) < 1:
            raise ValueError("width and width_per_group leave the 3x3 convolution no channel")

    @property
    def stem_channels(self) -> int:
        """Output channels of conv1."""
        return int(STEM_CHANNELS * self.width)

    def inner_channels(self, stage: int) -> int:
        """Channels of the 3x3 convolution in layer{stage + 1}."""
        planes = self.stem_channels << stage
        return planes * self.width_per_group // 64 * self.groups

    def out_channels(self, stage: int) -> int:
        """Channels that layer{stage + 1} puts out."""
        return (self.stem_channels << stage) * EXPANSION[self.block]


def _bottleneck(a: int, b: int, c: int, d: int, groups: int = 1, per_group: int = 64) -> ResNetSpec:
    return ResNetSpec("bottleneck", (a, b, c, d), groups=groups, width_per_group=per_group)


ARCHITECTURES: dict[str, ResNetSpec] = {
    "resnet18": ResNetSpec("basic", (2, 2, 2, 2)),
    "resnet34": ResNetSpec("basic", (3, 4, 6, 3)),
    "resnet50": _bottleneck(3, 4, 6, 3),
    "resnet101": _bottleneck(3, 4, 23, 3),
    "resnet152": _bottleneck(3, 8, 36, 3),
    "wide_resnet50_2": _bottleneck(3, 4, 6, 3, per_group=128),
    "wide_resnet101_2": _bottleneck(3, 4, 23, 3, per_group=128),
    "resnext50_32x4d": _bottleneck(3, 4, 6, 3, groups=32, per_group=4),
    "resnext101_32x8d": _bottleneck(3, 4, 23, 3, groups=32, per_group=8),
    "resnext101_64x4d": _bottleneck(3, 4, 23, 3, groups=64, per_group=4),
    "se_resnet50": replace(_bottleneck(3, 4, 6, 3), se=True),
}


class SqueezeExcitation(nn.Module):
    """Scales each channel by a gate computed from all channels' means."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = max(1, channels // SE_REDUCTION)
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        gate = x.mean((2, 3), keepdim=True)
        gate = torch.sigmoid(self.fc2(torch.relu(self.fc1(gate))))
        return x * gate


def _conv3x3(inputs: int, outputs: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1, groups=groups, bias=False)


def _conv1x1(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 1, stride, bias=False)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and the identity."""

    def __init__(self, spec: ResNetSpec, stage: int, inputs: int, stride: int) -> None:
        super().__init__()
        outputs = spec.out_channels(stage)
        self.conv1 = _conv3x3(inputs, outputs, stride)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = _conv3x3(outputs, outputs)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.se = SqueezeExcitation(outputs) if spec.se else nn.Identity()
        self.downsample = _downsample(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.se(self.bn2(self.conv2(y)))
        out: Tensor = self.relu(y + (x if self.downsample is None else self.downsample(x)))
        return out


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions and the identity."""

    def __init__(self, spec: ResNetSpec, stage: int, inputs: int, stride: int) -> None:
        super().__init__()
        inner, outputs = spec.inner_channels(stage), spec.out_channels(stage)
        first, second = (stride, 1) if spec.stride_in == "1x1" else (1, stride)
        self.conv1 = _conv1x1(inputs, inner, first)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = _conv3x3(inner, inner, second, spec.groups)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = _conv1x1(inner, outputs)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.se = SqueezeExcitation(outputs) if spec.se else nn.Identity()
        self.downsample = _downsample(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.se(self.bn3(self.conv3(y)))
        out: Tensor = self.relu(y + (x if self.downsample is None else self.downsample(x)))
        return out


def _downsample(inputs: int, outputs: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(_conv1x1(inputs, outputs, stride), nn.BatchNorm2d(outputs))


class ResNet(nn.Module):
    """Normalised float32 pictures (N, in_channels, H, W) to logits (N, classes)."""

    def __init__(self, spec: ResNetSpec) -> None:
        super().__init__()
        self.spec = spec
        self.conv1 = nn.Conv2d(spec.in_channels, spec.stem_channels, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(spec.stem_channels)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        self.layer1 = _stage(spec, 0, spec.stem_channels)
        self.layer2 = _stage(spec, 1, spec.out_channels(0))
        self.layer3 = _stage(spec, 2, spec.out_channels(1))
        self.layer4 = _stage(spec, 3, spec.out_channels(2))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(spec.out_channels(3), spec.classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc(torch.flatten(self.avgpool(self.features(x)[-1]), 1))
        return logits

    def features(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Feature maps of layer1 to layer4, at 1/4, 1/8, 1/16 and 1/32 of the picture's size."""
        c2 = self.layer1(self.maxpool(self.relu(self.bn1(self.conv1(x)))))
        c3 = self.layer2(c2)
        c4 = self.layer3(c3)
        return c2, c3, c4, self.layer4(c4)


def _stage(spec: ResNetSpec, stage: int, inputs: int) -> nn.Sequential:
    block = Bottleneck if spec.block == "bottleneck" else BasicBlock
    blocks = [block(spec, stage, inputs, stride=1 if stage == 0 else 2)]
    while len(blocks) < spec.layers[stage]:
        blocks.append(block(spec, stage, spec.out_channels(stage), stride=1))
    return nn.Sequential(*blocks)


def build(spec: ResNetSpec) -> ResNet:
    """A network of this spec, convolutions drawn by He's rule (fan out), in training mode."""
    network = ResNet(spec)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return network


def arch_name(spec: ResNetSpec) -> str:
    """The name in ARCHITECTURES whose blocks these are, whatever the stride_in, width and classes.

    A depth that nobody published is spelt out: "resnet_bottleneck_3_4_5_3".
    """
    for name, known in ARCHITECTURES.items():
        if _blocks(known) == _blocks(spec):
            return name
    layers = "_".join(str(count) for count in spec.layers)
    kind = ("se_" if spec.se else "") + ("resnext" if spec.groups > 1 else "resnet")
    inner = (
        ""
        if (spec.groups, spec.width_per_group) == (1, 64)
        else (f"_{spec.groups}x{spec.width_per_group}d")
    )
    return f"{kind}_{spec.block}_{layers}{inner}"


def _blocks(spec: ResNetSpec) -> tuple[object, ...]:
    return spec.block, spec.layers, spec.groups, spec.width_per_group, spec.se


def infer_spec(shapes: Mapping[str, tuple[int, ...]]) -> ResNetSpec:
    """The spec, all but stride_in, that a state dict of these shapes belongs to.

    `num_batches_tracked` may be absent. Raises ValueError, naming the first key that is missing,
    left over or of another shape, when this is no ResNet of this family.
    """
    block: Block = "bottleneck" if "layer1.0.conv3.weight" in shapes else "basic"
    stem, in_channels = _dims(shapes, "conv1.weight", 4)[:2]
    inner, per_group = _dims(shapes, "layer4.0.conv2.weight", 4)[:2]
    groups = inner // per_group
    classes = _dims(shapes, "fc.weight", 2)[0]
    counts = [_count(shapes, f"layer{n}.{{}}.conv1.weight") for n in (1, 2, 3, 4)]
    try:
        spec = ResNetSpec(
            block,
            (counts[0], counts[1], counts[2], counts[3]),
            groups=groups,
            width_per_group=64 * inner // (groups * stem * 8) if groups else 0,
            se="layer1.0.se.fc1.weight" in shapes,
            width=stem / STEM_CHANNELS,
            classes=classes,
            in_channels=in_channels,
        )
    except ValueError as error:
        raise ValueError(f"layer4.0.conv2.weight: no ResNet of this family: {error}") from error
    _match(shapes, spec)
    return spec


def _dims(shapes: Mapping[str, tuple[int, ...]], key: str, rank: int) -> tuple[int, ...]:
    if key not in shapes:
        raise ValueError(f"{key}: missing, so this is no ResNet of this family")
    shape = tuple(shapes[key])
    if len(shape) != rank or min(shape) < 1:
        raise ValueError(f"{key}: shape {shape}, expected {rank} dimensions of at least 1")
    return shape


def _count(shapes: Mapping[str, tuple[int, ...]], key: str) -> int:
    _dims(shapes, key.format(0), 4)
    count = 1
    while key.format(count) in shapes:
        count += 1
    return count


def _match(shapes: Mapping[str, tuple[int, ...]], spec: ResNetSpec) -> None:
    with torch.device("meta"):
        expected = {key: tuple(value.shape) for key, value in ResNet(spec).state_dict().items()}
    for key, shape in expected.items():
        if key not in shapes and not key.endswith("num_batches_tracked"):
            raise ValueError(f"{key}: missing, expected shape {shape}")
        if key in shapes and tuple(shapes[key]) != shape:
            raise ValueError(f"{key}: shape {tuple(shapes[key])}, expected {shape}")
    for key in shapes:
        if key not in expected:
            raise ValueError(f"{key}: no such weight in {arch_name(spec)}")
