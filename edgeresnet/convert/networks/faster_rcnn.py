"""Faster R-CNN on any ResNet of the family, with torchvision's state-dict names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from edgeresnet.convert.networks.anchors import RATIOS, decode_deltas, grids, make_anchors
from edgeresnet.convert.networks.decode import CANDIDATES
from edgeresnet.convert.networks.fpn import CHANNELS, Backbone, infer_backbone, shape_of
from edgeresnet.convert.networks.regions import PROPOSALS, Pool, Proposals
from edgeresnet.convert.networks.resnet import ResNetSpec
from edgeresnet.convert.networks.retinanet import draw

HIDDEN = 1024
LEVELS = 5
FINEST = 4
_SMALLEST = 32
_POOLED = 49
_WEIGHTS = (10.0, 10.0, 5.0, 5.0)
"""The second stage's deltas are that much larger than those that anchors take."""


@dataclass(frozen=True)
class FasterRCNNSpec:
    """What distinguishes one Faster R-CNN from another.

    backbone: its ``classes`` mean nothing here.
    classes: with the background, which is class 0.
    channels: of the pyramid; hidden: of the second stage's two linear layers.
    eps: of the backbone's BatchNorms.
    """

    backbone: ResNetSpec
    classes: int = 91
    channels: int = CHANNELS
    hidden: int = HIDDEN
    eps: float = 1e-5

    def __post_init__(self) -> None:
        if self.classes < 2:
            raise ValueError(f"classes is {self.classes}, expected background and at least one")
        if min(self.channels, self.hidden) < 1:
            raise ValueError(f"channels {self.channels}, hidden {self.hidden}: expected at least 1")


class ProposalHead(nn.Module):
    """Every level to logits of there being anything (N, 3, H, W), and deltas (N, 12, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv = nn.Sequential(nn.Sequential(conv, nn.ReLU(inplace=True)))
        self.cls_logits = nn.Conv2d(channels, len(RATIOS), 1)
        self.bbox_pred = nn.Conv2d(channels, len(RATIOS) * 4, 1)
        for module in (conv, self.cls_logits, self.bbox_pred):
            draw(module)

    def forward(self, levels: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        steps = [self.conv(x) for x in levels]
        return [self.cls_logits(x) for x in steps], [self.bbox_pred(x) for x in steps]


class RegionProposal(nn.Module):
    """The first stage's head, under the name that weights have it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.head = ProposalHead(channels)

    def forward(self, levels: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        logits, deltas = self.head(levels)
        return logits, deltas


class BoxHead(nn.Module):
    """Pooled features (n, C, 7, 7) to (n, hidden)."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.fc6 = nn.Linear(inputs, hidden)
        self.fc7 = nn.Linear(hidden, hidden)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.fc7(torch.relu(self.fc6(x.flatten(1)))))


class BoxPredictor(nn.Module):
    """(n, hidden) to logits (n, classes) and deltas (n, classes * 4)."""

    def __init__(self, hidden: int, classes: int) -> None:
        super().__init__()
        self.cls_score = nn.Linear(hidden, classes)
        self.bbox_pred = nn.Linear(hidden, classes * 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.cls_score(x), self.bbox_pred(x)


class RoIHeads(nn.Module):
    """The second stage on pooled features (n, C, 7, 7)."""

    def __init__(self, spec: FasterRCNNSpec) -> None:
        super().__init__()
        self.box_head = BoxHead(spec.channels * _POOLED, spec.hidden)
        self.box_predictor = BoxPredictor(spec.hidden, spec.classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        logits, deltas = self.box_predictor(self.box_head(x))
        return logits, deltas


class FasterRCNN(nn.Module):
    """Normalised pictures to the first stage's maps; the second stage needs a size: :meth:`detect`.

    Height and width are multiples of 32. Inference only.
    """

    def __init__(self, spec: FasterRCNNSpec) -> None:
        super().__init__()
        self.spec = spec
        self.backbone = Backbone(spec.backbone, spec.channels, "pool", first=1, eps=spec.eps)
        self.rpn = RegionProposal(spec.channels)
        self.roi_heads = RoIHeads(spec)

    def forward(self, x: Tensor) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        levels = self.backbone(x)
        return (levels, *self.rpn(levels))

    def detect(self, x: Tensor, decode: nn.Module) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes (1, K, 4), scores (1, K) and class ids (1, K) of one picture."""
        levels, logits, deltas = self.forward(x)
        boxes, real = decode("proposals", logits, deltas)
        by_class = self.roi_heads(decode("pool", boxes, *levels[:-1]))
        found: tuple[Tensor, Tensor, Tensor] = decode("boxes", *by_class, boxes, real)
        return found

    def anchors(self, size: tuple[int, int]) -> Tensor:
        """Boxes (anchors, 4), xyxy, for pictures of this height and width."""
        return make_anchors(size, FINEST, [[_SMALLEST << level] for level in range(LEVELS)])


class DecodeRegions(nn.Module):
    """What is no network in Faster R-CNN, for pictures of ``size``: three steps, called by name."""

    def __init__(self, network: FasterRCNN, size: tuple[int, int]) -> None:
        super().__init__()
        counts = [rows * columns * len(RATIOS) for rows, columns in grids(size, FINEST, LEVELS)]
        self.proposals = Proposals(network.anchors(size), counts, size)
        self.pool = Pool()
        self.boxes = Boxes(network.spec.classes, size)

    def forward(self, step: str, *given: Any) -> Any:
        return getattr(self, step)(*given)


class Boxes(nn.Module):
    """The second stage's logits and deltas at proposals to what a detector gives, best first."""

    corner: Tensor
    origin: Tensor
    weights: Tensor

    def __init__(self, classes: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.classes = classes
        self.kept = min(CANDIDATES, PROPOSALS * (self.classes - 1))
        corner = torch.tensor([size[1], size[0]] * 2, dtype=torch.float32)
        self.register_buffer("corner", corner, persistent=False)
        self.register_buffer("origin", torch.zeros(4), persistent=False)
        self.register_buffer("weights", torch.tensor(_WEIGHTS), persistent=False)

    def forward(
        self, logits: Tensor, deltas: Tensor, proposals: Tensor, real: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        scores = torch.softmax(logits, 1)[:, 1:] * real[:, None]
        best, places = scores.reshape(1, PROPOSALS * (self.classes - 1)).topk(self.kept, 1)
        flat = places.reshape(-1)
        owner = torch.div(flat, self.classes - 1, rounding_mode="trunc")
        class_ids = flat - owner * (self.classes - 1) + 1
        rows = owner * self.classes + class_ids
        chosen = deltas.reshape(PROPOSALS * self.classes, 4).index_select(0, rows) / self.weights
        boxes = decode_deltas(chosen, proposals.index_select(0, owner))
        boxes = torch.minimum(torch.maximum(boxes, self.origin), self.corner)
        return boxes[None], best, class_ids.int()[None]


def infer_faster_rcnn(shapes: Mapping[str, tuple[int, ...]], eps: float) -> FasterRCNNSpec:
    """The spec that shapes under current names belong to.

    Raises ValueError that names the key which says that this is no Faster R-CNN.
    """
    classes, hidden = shape_of(shapes, "roi_heads.box_predictor.cls_score.weight", 2)
    anchors = shape_of(shapes, "rpn.head.cls_logits.weight", 4)[0]
    if anchors != len(RATIOS):
        raise ValueError(f"rpn.head.cls_logits.weight: {anchors} anchors a place, expected 3")
    backbone, channels, extra = infer_backbone(shapes)
    if extra != "pool":
        raise ValueError("backbone.fpn.extra_blocks.p6.weight: no such weight in Faster R-CNN")
    return FasterRCNNSpec(backbone, classes, channels, hidden, eps)
