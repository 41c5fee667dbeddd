"""What lies between the two stages of Faster R-CNN: proposals, and features cut out at them.

Two operators that ONNX has and torch has not are defined here in plain torch, and are exported as
what they are: suppression that keeps a fixed number, and RoIAlign.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from edgeresnet.convert.networks.anchors import decode_deltas
from edgeresnet.convert.networks.fpn import flatten

PROPOSALS = 1000
"""Of each level before suppression, and of all after it."""
_OVERLAP = 0.7
_SMALLEST = 1e-3
_SIDE = 7
_SAMPLES = 2
_SCALE = 224
_LEVEL = 4


class Suppress(torch.autograd.Function):
    """Places of ``count`` boxes that overlap no better one, best first, filled up with ``n``.

    Boxes (n, 4), scores (n,); a score of 0 or less is no box.
    """

    @staticmethod
    def forward(_: Any, boxes: Tensor, scores: Tensor, overlap: float, count: int) -> Tensor:
        """Greedy, as the operator's definition has it."""
        order = [i for i in scores.argsort(descending=True, stable=True).tolist() if scores[i] > 0]
        area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        free = torch.ones(len(boxes), dtype=torch.bool)
        kept: list[int] = []
        for i in order:
            if len(kept) == count:
                break
            if not free[i]:
                continue
            kept.append(i)
            low = torch.maximum(boxes[:, :2], boxes[i, :2])
            shared = (torch.minimum(boxes[:, 2:], boxes[i, 2:]) - low).clamp(min=0).prod(1)
            free &= ~(shared / (area + area[i] - shared) > overlap)
        return torch.tensor(kept + [len(boxes)] * (count - len(kept)))

    @staticmethod
    def symbolic(g: Any, boxes: Any, scores: Any, overlap: float, count: int) -> Any:
        """ONNX's operator gives as many as it finds; the rest is filled up behind it."""

        def constant(value: Tensor) -> Any:
            return g.op("Constant", value_t=value)

        (n,) = scores.type().sizes()
        first = constant(torch.tensor([0]))
        found = g.op(
            "NonMaxSuppression",
            g.op("Unsqueeze", boxes, first),
            g.op("Unsqueeze", scores, constant(torch.tensor([0, 1]))),
            constant(torch.tensor([count])),
            constant(torch.tensor([overlap])),
            constant(torch.tensor([0.0])),
        )
        places = g.op("Gather", found, constant(torch.tensor(2)), axis_i=1)
        filled = g.op("Concat", places, constant(torch.full((count,), n)), axis_i=0)
        cut = g.op("Slice", filled, first, constant(torch.tensor([count])), first)
        shape = constant(torch.tensor([count]))
        return g.op("Reshape", cut, shape).setType(scores.type().with_sizes([count]))


class RoIAlign(torch.autograd.Function):
    """Features (1, C, H, W) to (n, C, 7, 7) at boxes (n, 4) of pixels; ``scale`` to the map's."""

    @staticmethod
    def forward(_: Any, features: Tensor, boxes: Tensor, scale: float) -> Tensor:
        """Each cell is the mean of two by two samples, linear between the map's places."""
        height, width = features.shape[2:]
        count = _SIDE * _SAMPLES
        steps = (torch.arange(count, dtype=features.dtype) + 0.5) / count
        low = boxes[:, :2] * scale
        size = (boxes[:, 2:] * scale - low).clamp(min=1)
        x = low[:, :1] + steps * size[:, :1]
        y = low[:, 1:] + steps * size[:, 1:]
        inside = (y <= height)[:, :, None] & (x <= width)[:, None, :]
        grid_x = x / max(width - 1, 1) * 2 - 1
        grid_y = y / max(height - 1, 1) * 2 - 1
        n = len(boxes)
        grid = torch.stack(
            [
                grid_x[:, None, :].expand(n, count, count),
                grid_y[:, :, None].expand(n, count, count),
            ],
            -1,
        )
        sampled = nn.functional.grid_sample(
            features,
            grid.reshape(1, n * count, count, 2),
            padding_mode="border",
            align_corners=True,
        )
        sampled = sampled.reshape(-1, n, count, count).transpose(0, 1) * inside[:, None]
        return nn.functional.avg_pool2d(sampled, _SAMPLES)

    @staticmethod
    def symbolic(g: Any, features: Any, boxes: Any, scale: float) -> Any:
        """RoiAlign, all of the first picture."""
        n = boxes.type().sizes()[0]
        whose = g.op("Constant", value_t=torch.zeros(n, dtype=torch.int64))
        cut = g.op(
            "RoiAlign",
            features,
            boxes,
            whose,
            output_height_i=_SIDE,
            output_width_i=_SIDE,
            sampling_ratio_i=_SAMPLES,
            spatial_scale_f=scale,
            mode_s="avg",
            coordinate_transformation_mode_s="output_half_pixel",
        )
        channels = features.type().sizes()[1]
        return cut.setType(features.type().with_sizes([n, channels, _SIDE, _SIDE]))


class Proposals(nn.Module):
    """The first stage's maps to boxes (1000, 4) that overlap little, and 1 or 0 for filled up."""

    anchors: Tensor
    corner: Tensor
    origin: Tensor
    apart: Tensor

    def __init__(self, anchors: Tensor, counts: list[int], size: tuple[int, int]) -> None:
        super().__init__()
        self.counts = counts
        corner = torch.tensor([size[1], size[0]] * 2, dtype=torch.float32)
        apart = torch.cat(
            [
                torch.full((min(n, PROPOSALS),), level * (max(size) + 1.0))
                for level, n in enumerate(counts)
            ]
        )
        self.register_buffer("anchors", anchors, persistent=False)
        self.register_buffer("corner", corner, persistent=False)
        self.register_buffer("origin", torch.zeros(4), persistent=False)
        self.register_buffer("apart", apart[:, None], persistent=False)

    def forward(self, objectness: list[Tensor], deltas: list[Tensor]) -> tuple[Tensor, Tensor]:
        logits, start = [], 0
        chosen = []
        for level, count in zip(objectness, self.counts, strict=True):
            values, places = flatten([level], 1).reshape(-1).topk(min(count, PROPOSALS))
            logits.append(values)
            chosen.append(places + start)
            start += count
        rows = torch.cat(chosen)
        boxes = decode_deltas(
            flatten(deltas, 4).reshape(-1, 4).index_select(0, rows),
            self.anchors.index_select(0, rows),
        )
        boxes = torch.minimum(torch.maximum(boxes, self.origin), self.corner)
        sides = boxes[:, 2:] - boxes[:, :2]
        large = (sides.amin(1) >= _SMALLEST).to(boxes.dtype)
        scores = torch.sigmoid(torch.cat(logits)) * large
        kept = cast(
            "Tensor",
            Suppress.apply(boxes + self.apart, scores, _OVERLAP, PROPOSALS),  # type: ignore[no-untyped-call]
        )
        with_none = torch.cat([boxes, self.origin[None]])
        real = torch.cat([torch.ones_like(scores), torch.zeros_like(scores[:1])])
        return with_none.index_select(0, kept), real.index_select(0, kept)


class Pool(nn.Module):
    """Features (n, C, 7, 7) at boxes (n, 4), each from the level that suits its size."""

    def forward(self, boxes: Tensor, *levels: Tensor) -> Tensor:
        sides = boxes[:, 2:] - boxes[:, :2]
        area = (sides[:, 0] * sides[:, 1]).clamp(min=1e-6)
        level = torch.floor(_LEVEL + torch.log2(torch.sqrt(area) / _SCALE) + 1e-6)
        level = level.clamp(2, 1 + len(levels)) - 2
        total = torch.zeros(())
        for i, features in enumerate(levels):
            cut = RoIAlign.apply(features, boxes, 1 / (4 << i))  # type: ignore[no-untyped-call]
            total = total + cut * (level == i).to(boxes.dtype)[:, None, None, None]
        return total
