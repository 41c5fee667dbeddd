"""What a detector with anchors is taught by: which anchor stands for which box, and the losses."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edgeresnet.convert.networks.anchors import decode_deltas

FOREGROUND, BACKGROUND = 0.5, 0.4
"""IoU from which an anchor stands for a box, and below which for none; between, for neither."""
BALANCE, FOCUS = 0.25, 2.0
"""Weight of the right class against all others, and how little easy ones count."""
NOTHING, NEITHER = -1, -2


@dataclass(frozen=True, eq=False)
class Truth:
    """Boxes (n, 4), xyxy in pixels of the network's input, with their classes (n,)."""

    boxes: Tensor
    class_ids: Tensor


def iou(one: Tensor, other: Tensor) -> Tensor:
    """Overlap of each of ``one`` (rows) with each of ``other`` (columns)."""
    low = torch.maximum(one[:, None, :2], other[:, :2])
    high = torch.minimum(one[:, None, 2:], other[:, 2:])
    shared = (high - low).clamp(min=0).prod(2)
    return shared / (_area(one)[:, None] + _area(other) - shared)


def assign(anchors: Tensor, boxes: Tensor) -> Tensor:
    """For each anchor the place of its box, or NOTHING, or NEITHER.

    Every box has at least the anchors that overlap it most, however little that is.
    """
    if not len(boxes):
        return torch.full((len(anchors),), NOTHING, device=anchors.device)
    overlap = iou(boxes, anchors)
    best, owner = overlap.max(0)
    chosen = torch.where(best < BACKGROUND, NOTHING, NEITHER)
    chosen = torch.where(best >= FOREGROUND, owner, chosen)
    most = overlap.amax(1, keepdim=True)
    last = ((overlap == most) & (most > 0)).any(0)
    return torch.where(last, owner, chosen)


def losses(
    logits: Tensor, deltas: Tensor, anchors: Tensor, truths: list[Truth]
) -> tuple[Tensor, Tensor]:
    """Of classes (focal) and of boxes (generalized IoU), each per anchor that stands for a box.

    ``logits`` (N, anchors, classes), ``deltas`` (N, anchors, 4).
    """
    places = [assign(anchors, truth.boxes) for truth in truths]
    owners = torch.stack(places)
    picture, anchor = torch.nonzero(owners >= 0, as_tuple=True)
    ids = [truth.class_ids[p[p >= 0]] for truth, p in zip(truths, places, strict=True)]
    boxes = [truth.boxes[p[p >= 0]] for truth, p in zip(truths, places, strict=True)]
    count = max(1, len(picture))
    logits = logits.float()
    faint = _absent(logits) * (owners != NEITHER)[..., None]
    right = logits[picture, anchor, torch.cat(ids)]
    class_loss = faint.sum() + (_present(right) - _absent(right)).sum()
    found = decode_deltas(deltas[picture, anchor].float(), anchors[anchor])
    return class_loss / count, generalized(found, torch.cat(boxes)).sum() / count


def generalized(found: Tensor, true: Tensor) -> Tensor:
    """1 - generalized IoU of boxes pair by pair (Rezatofighi et al. 2019): 0 to 2."""
    sides = torch.minimum(found[:, 2:], true[:, 2:]) - torch.maximum(found[:, :2], true[:, :2])
    shared = sides.clamp(min=0).prod(1)
    covered = _area(found) + _area(true) - shared
    hull = torch.maximum(found[:, 2:], true[:, 2:]) - torch.minimum(found[:, :2], true[:, :2])
    around = hull.prod(1).clamp(min=1e-6)
    return 1 - shared / covered.clamp(min=1e-6) + (around - covered) / around


def _present(logits: Tensor) -> Tensor:
    """Focal loss (Lin et al. 2017) of classes that are there."""
    return BALANCE * torch.sigmoid(-logits) ** FOCUS * nn.functional.softplus(-logits)


def _absent(logits: Tensor) -> Tensor:
    return (1 - BALANCE) * torch.sigmoid(logits) ** FOCUS * nn.functional.softplus(logits)


def _area(boxes: Tensor) -> Tensor:
    return (boxes[:, 2:] - boxes[:, :2]).prod(1)
