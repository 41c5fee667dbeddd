"""Detectors whose heads and levels are drawn numbers, the same wherever they are drawn.

So what torchvision's definitions make of them can be kept as text, and ours be held against it
where torchvision is not installed: `torchvision_parity.py --fixture` writes it.
"""

from __future__ import annotations

import importlib
import json
import math
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edgeresnet.convert.networks import (
    DetectorSpec,
    FasterRCNN,
    FasterRCNNSpec,
    FCOSSpec,
    ResNetSpec,
    RetinaNetSpec,
    build_detector,
)
from edgeresnet.convert.networks.anchors import grids
from edgeresnet.convert.networks.decode import Decode
from edgeresnet.convert.networks.faster_rcnn import DecodeRegions
from edgeresnet.core.boxes import SAME, best_of_each

SIZE = (96, 160)  # the steps of the coarsest levels do not divide it
CHANNELS = 64
CLASSES = 4
LEAST_SCORE = 0.3
BOXES = 16  # of each detector
ANCHORS = 10  # of each level
_LEVELS = 5
_BACKBONE = ResNetSpec("bottleneck", (1, 1, 1, 1), width=0.125, classes=1)

SPECS: Mapping[str, Callable[[], DetectorSpec]] = {
    "retinanet_resnet50_fpn": lambda: RetinaNetSpec(_BACKBONE, CLASSES, CHANNELS),
    "retinanet_resnet50_fpn_v2": lambda: RetinaNetSpec(_BACKBONE, CLASSES, CHANNELS, norm=True),
    "fcos_resnet50_fpn": lambda: FCOSSpec(_BACKBONE, CLASSES, CHANNELS),
    "fasterrcnn_resnet50_fpn": lambda: FasterRCNNSpec(_BACKBONE, CLASSES, CHANNELS),
}


def drawn(shape: tuple[int, ...], seed: int) -> Tensor:
    """Numbers from -1 to 1, made of the generator's bits, which are the same everywhere."""
    bits = np.random.PCG64(seed).random_raw(math.prod(shape)) >> np.uint64(40)
    return torch.from_numpy((bits / 2.0**23 - 1).astype(np.float32)).reshape(shape)


def sides(name: str) -> list[tuple[int, int]]:
    """Rows and columns of the levels that this detector has."""
    return grids(SIZE, 4 if name.startswith("faster") else 8, _LEVELS)


class Levels(nn.Module):
    """Stands for a backbone: the same drawn levels whatever the picture."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.sides = sides(name)

    def forward(self, _: Tensor) -> list[Tensor]:
        """Finest first."""
        return [drawn((1, CHANNELS, *side), 100 + i) for i, side in enumerate(self.sides)]


@torch.no_grad()
def fill(network: nn.Module) -> nn.Module:
    """Draws every weight, name by name; values keep their size from layer to layer."""
    for place, (name, weight) in enumerate(sorted(network.named_parameters())):
        values = drawn(tuple(weight.shape), place)
        if weight.ndim > 1:
            inputs = math.prod(weight.shape[1:])
            values = values.reshape(-1, inputs)
            values = (values - values.mean(1, keepdim=True)) * math.sqrt(6 / inputs)
            values = values.reshape(weight.shape)
        elif name.endswith("weight"):  # of a norm
            values = 1 + values / 2
        moves_boxes = "bbox_" in name and "ctrness" not in name
        weight.copy_(values * 0.3 if moves_boxes else values)
    return network.eval()


def some(name: str, anchors: Tensor) -> list[list[list[float]]]:
    """The first and the last anchor boxes of each level."""
    places = [rows * columns for rows, columns in sides(name)]
    each = len(anchors) // sum(places)
    levels = anchors.split([count * each for count in places])
    return [[*level[:ANCHORS].tolist(), level[-1].tolist()] for level in levels]


@torch.no_grad()
def ours(name: str) -> dict[str, Any]:
    """Anchors, boxes, scores and class ids as edgeresnet's definition has them, best first."""
    network = build_detector(SPECS[name]())
    network.backbone = Levels(name)  # type: ignore[assignment]
    fill(network)
    whole = isinstance(network, FasterRCNN)
    decode = DecodeRegions(network, SIZE) if whole else Decode(network, CLASSES, SIZE)
    found = network.detect(torch.zeros(1, 3, *SIZE), decode)
    boxes, scores, class_ids = (values[0].numpy() for values in found)
    kept = best_of_each(boxes, scores, class_ids.astype(np.int64))
    kept = kept[scores[kept] > LEAST_SCORE][:BOXES]
    return {
        "anchors": some(name, network.anchors(SIZE)),
        "boxes": boxes[kept].tolist(),
        "scores": scores[kept].tolist(),
        "class_ids": class_ids[kept].tolist(),
    }


class _Named(Levels):
    """Drawn levels as torchvision's backbones give them."""

    out_channels = CHANNELS

    def forward(self, x: Tensor) -> dict[str, Tensor]:  # type: ignore[override]
        """By name, finest first."""
        return dict(zip(("0", "1", "2", "3", "pool"), super().forward(x), strict=True))


@torch.no_grad()
def theirs(name: str, torchvision: ModuleType) -> dict[str, Any]:
    """The same as torchvision's definition has them."""
    models = torchvision.models.detection
    told: dict[str, Any] = {"min_size": min(SIZE), "max_size": max(SIZE)}
    backbone, classes = _Named(name), CLASSES
    if name.startswith("faster"):
        told |= {"box_score_thresh": LEAST_SCORE, "box_nms_thresh": SAME}
        network = models.FasterRCNN(backbone, classes, **told)
        anchors: Any = network.rpn.anchor_generator
    else:
        told |= {"score_thresh": LEAST_SCORE, "nms_thresh": SAME}
        if name.endswith("_v2"):
            norm = partial(torch.nn.GroupNorm, 32)
            told["head"] = models.retinanet.RetinaNetHead(CHANNELS, 9, classes, norm_layer=norm)
        kind = models.FCOS if name.startswith("fcos") else models.RetinaNet
        network = kind(backbone, classes, **told)
        anchors = network.anchor_generator
    fill(network)
    picture = torch.zeros(3, *SIZE)
    (found,) = network([picture])
    images = importlib.import_module("torchvision.models.detection.image_list")
    pictures = images.ImageList(picture[None], [SIZE])
    (boxes,) = anchors(pictures, list(backbone(picture).values()))
    area = (found["boxes"][:, 2:] - found["boxes"][:, :2]).prod(1)
    kept = torch.nonzero(area)[:BOXES, 0]  # ours keeps no box without area
    return {
        "anchors": some(name, boxes),
        "boxes": found["boxes"][kept].tolist(),
        "scores": found["scores"][kept].tolist(),
        "class_ids": found["labels"][kept].tolist(),
    }


def write_fixture(path: Path, torchvision: ModuleType) -> None:
    """Keep what torchvision's definitions give, a line for each detector."""
    made = {name: theirs(name, torchvision) for name in SPECS}
    lines = ",\n".join(
        f'"{name}": {json.dumps(of, separators=(",", ":"))}' for name, of in made.items()
    )
    path.write_text(f'{{"torchvision": "{torchvision.__version__}",\n{lines}}}\n', encoding="utf-8")
