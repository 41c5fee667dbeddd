"""Anchors of a pyramid's places, and boxes written relative to them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from edgeresnet.convert.networks.fpn import DIVISOR

RATIOS = (0.5, 1.0, 2.0)
"""Height to width of the anchors of one place."""
LARGEST_STEP = math.log(1000 / 16)
"""A box is at most this much larger than its anchor, as a logarithm; exp of more overflows."""


def grids(size: tuple[int, int], finest: int, levels: int) -> list[tuple[int, int]]:
    """Rows and columns of each level, for pictures of ``size``; ``finest`` is the first's stride.

    Raises ValueError for a size of which the levels are not halves of each other.
    """
    if any(side % DIVISOR or side < DIVISOR for side in size):
        raise ValueError(f"size {size[0]}x{size[1]}: each side must be a multiple of {DIVISOR}")
    height, width = size[0] // finest, size[1] // finest
    found = []
    for _ in range(levels):
        found.append((height, width))
        height, width = (height + 1) // 2, (width + 1) // 2
    return found


def make_anchors(
    size: tuple[int, int],
    finest: int,
    sides: Sequence[Sequence[float]],
    ratios: Sequence[float] = RATIOS,
) -> Tensor:
    """Boxes (anchors, 4), xyxy in pixels: level by level, row by row, by ratio, then by side.

    ``sides`` has the square roots of the areas for each level, finest first.
    """
    found = []
    for (rows, columns), lengths in zip(grids(size, finest, len(sides)), sides, strict=True):
        roots = torch.sqrt(torch.tensor(ratios, dtype=torch.float32))
        side = torch.tensor(lengths, dtype=torch.float32)
        width = ((1 / roots)[:, None] * side).reshape(-1)
        height = (roots[:, None] * side).reshape(-1)
        cell = (torch.stack([-width, -height, width, height], 1) / 2).round()
        step_y, step_x = size[0] // rows, size[1] // columns
        y, x = torch.meshgrid(
            torch.arange(rows) * float(step_y), torch.arange(columns) * float(step_x), indexing="ij"
        )
        places = torch.stack([x, y, x, y], -1).reshape(-1, 1, 4)
        found.append((places + cell).reshape(-1, 4))
    return torch.cat(found)


def _centres(boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Centres and sizes, (..., 2) each."""
    size = boxes[..., 2:] - boxes[..., :2]
    return boxes[..., :2] + 0.5 * size, size


def decode_deltas(deltas: Tensor, anchors: Tensor) -> Tensor:
    """Boxes from (dx, dy, dw, dh) relative to ``anchors``: shifts in sizes, logarithms of sizes."""
    centre, size = _centres(anchors)
    centre = deltas[..., :2] * size + centre
    half = 0.5 * torch.exp(torch.clamp(deltas[..., 2:], max=LARGEST_STEP)) * size
    return torch.cat([centre - half, centre + half], -1)


def encode_deltas(boxes: Tensor, anchors: Tensor) -> Tensor:
    """What :func:`decode_deltas` makes ``boxes`` of; no box may be empty."""
    centre, size = _centres(anchors)
    box_centre, box_size = _centres(boxes)
    return torch.cat([(box_centre - centre) / size, torch.log(box_size / size)], -1)


def decode_distances(distances: Tensor, anchors: Tensor) -> Tensor:
    """Boxes from the distances of their sides to the anchors' centres, in sizes of the anchors."""
    centre, size = _centres(anchors)
    return torch.cat([centre - distances[..., :2] * size, centre + distances[..., 2:] * size], -1)
