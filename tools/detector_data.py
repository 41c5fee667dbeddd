"""Annotated pictures as a detector is taught with them: windows, scales, places and light."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from detector_losses import Truth
from numpy.typing import NDArray
from torch import Tensor

from edgeresnet.core.boxes import clip
from edgeresnet.core.preprocess import Crop, Preprocess
from edgeresnet.datasets.annotated import Annotated

LEAST_LEFT = 0.35  # of a box that the window cuts, to count as that thing
LEAST_SIDE = 3  # pixels
SMALLEST_SIDE = 96
AHEAD = 4  # batches
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Phase:
    """Some epochs at one size.

    side: of the square input. zoom: how much larger than fitted into it a picture is shown, from
    and to; what does not fit is cut, what stays free is filled.
    """

    epochs: int
    side: int
    zoom: tuple[float, float]

    def __post_init__(self) -> None:
        # Of maps of 1 x 1 torch's bfloat16 gradients on CPUs are at times anything at all.
        if self.side % 32 or self.side < SMALLEST_SIDE:
            raise ValueError(f"side {self.side} is no multiple of 32 from {SMALLEST_SIDE} on")


@dataclass(frozen=True)
class Recipe:
    """How a detector is trained.

    lr: of the pyramid and the heads; the backbone's is ``backbone_lr``.
    mirror: per class, whether its mirror image is of the same class.
    upright: whether pictures have a top; those of a microscope have none.
    fixed_statistics: BatchNorm keeps the means and variances that it came with, as is usual where
        a trained backbone is taught further with few pictures a batch.
    """

    phases: tuple[Phase, ...]
    batch: int
    lr: float
    backbone_lr: float
    mirror: tuple[bool, ...]
    upright: bool = True
    fixed_statistics: bool = False
    seed: int = 0


def augment(
    truth: Annotated, pixels: Pixels, phase: Phase, recipe: Recipe, rng: np.random.Generator
) -> tuple[Pixels, Truth]:
    """A window of the picture, at another scale, place and light, perhaps mirrored; its boxes."""
    height, width = pixels.shape[:2]
    side, zoom = phase.side, rng.uniform(*phase.zoom)
    scale = side / max(height, width) * zoom
    wide, tall = max(1, round(width * scale)), max(1, round(height * scale))
    flag = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    shown = cv2.resize(pixels, (wide, tall), interpolation=flag)
    left, top = (int(rng.integers(min(0, side - n), max(0, side - n) + 1)) for n in (wide, tall))
    canvas = np.empty((side, side, 3), np.uint8)
    canvas[:] = Preprocess(size=(side, side), crop=Crop.LETTERBOX).fill()
    x0, y0, x1, y1 = max(0, left), max(0, top), min(side, left + wide), min(side, top + tall)
    canvas[y0:y1, x0:x1] = shown[y0 - top : y1 - top, x0 - left : x1 - left]
    boxes = truth.boxes * ((wide / width, tall / height) * 2) + ((left, top) * 2)
    cut = clip(boxes.astype(np.float32), (0, 0, side, side))
    sides, before = cut[:, 2:] - cut[:, :2], (boxes[:, 2:] - boxes[:, :2]).prod(1)
    kept = (sides.prod(1) >= LEAST_LEFT * before) & (sides.min(1, initial=side) >= LEAST_SIDE)
    kept &= ~truth.crowd
    cut, ids = cut[kept], truth.class_ids[kept]
    if rng.random() < 0.5 and all(recipe.mirror[i] for i in truth.class_ids):
        canvas = canvas[:, ::-1]
        cut[:, [0, 2]] = side - cut[:, [2, 0]]
    if not recipe.upright and rng.random() < 0.5:
        canvas = canvas[::-1]
        cut[:, [1, 3]] = side - cut[:, [3, 1]]
    gain, lift = rng.uniform(0.8, 1.2), rng.uniform(-18, 18)
    lit = cv2.convertScaleAbs(np.maximum(canvas * gain + lift, 0))
    return np.asarray(lit, np.uint8), Truth(torch.from_numpy(cut), torch.from_numpy(ids))


def read(truth: Annotated) -> Pixels:
    """The picture as the runtime reads it."""
    pixels = cv2.imread(str(truth.path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None:
        raise OSError(f"{truth.path} is no picture")
    return np.asarray(pixels, np.uint8)


def to_tensor(pictures: Sequence[Pixels] | Pixels) -> Tensor:
    """Normalised input (n, 3, H, W), channels last in memory."""
    factor, offset = Preprocess().affine()
    values = torch.from_numpy(np.stack(pictures)).float() * torch.from_numpy(factor)
    return (values + torch.from_numpy(offset)).flip(-1).permute(0, 3, 1, 2)


def batches(data: Sequence[Annotated], recipe: Recipe) -> Iterator[tuple[int, Tensor, list[Truth]]]:
    """Epoch, input and truth, batch by batch, prepared on a thread of their own."""
    rng = np.random.default_rng((recipe.seed, 1))
    phases = [phase for phase in recipe.phases for _ in range(phase.epochs)]

    def prepare(chosen: NDArray[np.int64], epoch: int) -> tuple[int, Tensor, list[Truth]]:
        own = np.random.default_rng((recipe.seed, epoch, int(chosen[0])))
        made = [augment(data[i], read(data[i]), phases[epoch], recipe, own) for i in chosen]
        return epoch, to_tensor([pixels for pixels, _ in made]), [truth for _, truth in made]

    with ThreadPoolExecutor(1) as thread:
        waiting = []
        for epoch in range(len(phases)):
            order = rng.permutation(len(data))
            for start in range(0, len(order) - recipe.batch + 1, recipe.batch):
                chosen = order[start : start + recipe.batch]
                waiting.append(thread.submit(prepare, chosen, epoch))
                if len(waiting) > AHEAD:
                    yield waiting.pop(0).result()
        for last in waiting:
            yield last.result()
