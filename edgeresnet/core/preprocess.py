"""From a picture of any size to the pixels a network was trained to see."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from edgeresnet.core.axes import Axis, plan_axis, smoothing
from edgeresnet.core.errors import ModelError, ProfileError
from edgeresnet.core.files import existing_file
from edgeresnet.core.schema import Schema, nearest, parse, read_json
from edgeresnet.core.tensors import Pixels

Positive = Annotated[int, Field(gt=0, le=16384)]
Triple = tuple[float, float, float]
IMAGENET_MEAN: Triple = (0.485, 0.456, 0.406)
IMAGENET_STD: Triple = (0.229, 0.224, 0.225)


class Color(str, Enum):
    """Order of the channels that the network was trained on."""

    RGB = "rgb"
    BGR = "bgr"


class Crop(str, Enum):
    """How a picture of another shape is made to fit."""

    CENTER = "center"
    """Shorter side to ``resize``, then the middle ``size``."""
    NONE = "none"
    """Stretched to ``size``."""
    LETTERBOX = "letterbox"
    """As large as fits into ``size`` with its shape kept, at the top left; the rest is filled."""


class Interpolation(str, Enum):
    """How pixels are resampled."""

    BILINEAR = "bilinear"
    """Antialiased when shrinking: what torchvision and timm do to pictures (PIL's BILINEAR)."""
    LINEAR = "linear"
    """Two by two neighbours whatever the ratio: OpenCV's INTER_LINEAR, Keras."""
    NEAREST = "nearest"
    AREA = "area"
    """Mean of the covered pixels: OpenCV's INTER_AREA."""
    BICUBIC = "bicubic"
    """Four by four neighbours, antialiased when shrinking."""


class Preprocess(Schema):
    """What happens to a picture before the first layer, as the network was trained.

    Fitted pixels ``p`` (0 to 255, in ``color`` order) reach the network as
    ``(p * scale - mean) / std``.
    """

    size: tuple[Positive, Positive] = (224, 224)
    """Height and width of the network's input."""
    resize: Positive | None = 256
    """Pixels of the shorter side before a centre crop."""
    crop: Crop = Crop.CENTER
    interpolation: Interpolation = Interpolation.BILINEAR
    color: Color = Color.RGB
    scale: float = Field(1 / 255, gt=0)
    mean: Triple = IMAGENET_MEAN
    std: Triple = IMAGENET_STD

    @model_validator(mode="after")
    def _consistent(self) -> Preprocess:
        if not all(math.isfinite(v) and v > 0 for v in self.std):
            raise ValueError("std must be positive")
        if self.crop is Crop.CENTER and (self.resize is None or self.resize < max(self.size)):
            raise ValueError(f"resize {self.resize} is smaller than the crop {max(self.size)}")
        return self

    def affine(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """``(factor, offset)``, 3 each in BGR order: the network sees ``p * factor + offset``."""
        mean, std = np.array(self.mean, np.float64), np.array(self.std, np.float64)
        factor, offset = self.scale / std, -mean / std
        step = -1 if self.color is Color.RGB else 1
        return factor[::step].astype(np.float32), offset[::step].astype(np.float32)

    def fill(self) -> npt.NDArray[np.uint8]:
        """The colour, BGR, that reaches the network as 0, or nearly: whole numbers."""
        mean = np.clip(np.round(np.array(self.mean) / self.scale), 0, 255).astype(np.uint8)
        return mean[::-1] if self.color is Color.RGB else mean

    def normalise(self, fitted: Pixels) -> npt.NDArray[np.float32]:
        """Float32 NCHW for the network's first layer, from uint8 NHWC BGR: the reference."""
        order = fitted[..., ::-1] if self.color is Color.RGB else fitted
        scaled = order.astype(np.float64) * self.scale
        values = (scaled - np.array(self.mean)) / np.array(self.std)
        return np.ascontiguousarray(values.transpose(0, 3, 1, 2), np.float32)


def read_preprocess(path: Path) -> dict[str, Any]:
    """Read ``--preprocess FILE``: a JSON object with some of :class:`Preprocess`'s keys.

    The values are checked where they meet the rest, since a size alone also moves ``resize``.
    """
    what = f"preprocess {path.name}"
    try:
        text = existing_file(path, "--preprocess").read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ProfileError(f"{what}: not a text file") from error
    table = read_json(text, what)
    for key in table:
        if key not in Preprocess.model_fields:
            hint = nearest(key, Preprocess.model_fields)
            raise ProfileError(f"{what}: unknown key {key!r}", hint=hint)
    return table


def as_json(preprocess: Preprocess) -> str:
    """One line of JSON that :func:`from_json` reads back."""
    return json.dumps(preprocess.model_dump(mode="json"))


def from_json(text: str, what: str) -> Preprocess:
    """Read what :func:`as_json` wrote into a model's file."""
    return parse(Preprocess, read_json(text, what, ModelError), what, ModelError)


@lru_cache(maxsize=64)
def _plan(height: int, width: int, pre: Preprocess) -> tuple[Axis, Axis]:
    """Both axes; in a centre crop the longer side is truncated as torchvision's ``resize`` does."""
    rows, columns = pre.size
    if pre.crop is Crop.LETTERBOX:
        scale = min(rows / height, columns / width)
        rows, columns = (max(1, round(side * scale)) for side in (height, width))
        return plan_axis(height, rows, rows), plan_axis(width, columns, columns)
    if pre.crop is Crop.NONE or pre.resize is None:
        return plan_axis(height, rows, rows), plan_axis(width, columns, columns)
    if height <= width:
        resized = pre.resize, int(pre.resize * width / height)
    else:
        resized = int(pre.resize * height / width), pre.resize
    return plan_axis(height, resized[0], rows), plan_axis(width, resized[1], columns)


@dataclass(frozen=True)
class Placing:
    """Where a picture lies in what :func:`fit` makes of it: ``fitted = source * scale + shift``.

    Across and down; coordinates are of pixel edges, so a picture ends at its width and height.
    """

    scale_x: float
    scale_y: float
    shift_x: float = 0.0
    shift_y: float = 0.0

    def fitted(self, xyxy: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Boxes (n, 4) of the picture, in fitted pixels."""
        return (xyxy * self._scale + self._shift).astype(np.float32)

    def source(self, xyxy: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Boxes (n, 4) of fitted pixels, in pixels of the picture: the inverse."""
        return ((xyxy - self._shift) / self._scale).astype(np.float32)

    @property
    def _scale(self) -> npt.NDArray[np.float64]:
        return np.array((self.scale_x, self.scale_y) * 2)

    @property
    def _shift(self) -> npt.NDArray[np.float64]:
        return np.array((self.shift_x, self.shift_y) * 2)


def placed(height: int, width: int, preprocess: Preprocess) -> Placing:
    """Where :func:`fit` puts a picture of that size, as it really does: sizes are whole pixels."""
    rows, columns = _plan(height, width, preprocess)
    return Placing(columns.scale, rows.scale, columns.shift, rows.shift)


_PLAIN = {
    Interpolation.LINEAR: cv2.INTER_LINEAR,
    Interpolation.NEAREST: cv2.INTER_NEAREST,
    Interpolation.AREA: cv2.INTER_AREA,
    Interpolation.BICUBIC: cv2.INTER_CUBIC,
}


def fit(pixels: Pixels, preprocess: Preprocess) -> Pixels:
    """Resize and crop ``pixels`` (height x width x 3) to ``preprocess.size``, uint8.

    Used by calibration, evaluation and the live run alike. Only the part under the crop is
    touched. ``bilinear`` and ``bicubic`` shrink with antialiasing: sampled on a grid of twice the
    size, smoothed to the right width, then averaged two by two; beyond a ratio of four a whole
    factor is area-averaged first. A picture already of ``size`` and not to be resized is returned
    as it is. What a letterbox leaves free is the network's mean colour.
    """
    rows, columns = _plan(pixels.shape[0], pixels.shape[1], preprocess)
    height, width = preprocess.size
    if preprocess.crop is not Crop.LETTERBOX or (rows.grid, columns.grid) == (height, width):
        whole = _resampled(pixels, rows, columns, preprocess.interpolation)
        return whole[rows.skip : rows.skip + height, columns.skip : columns.skip + width]
    canvas = np.empty((height, width, 3), np.uint8)
    canvas[rows.grid :] = canvas[: rows.grid, columns.grid :] = preprocess.fill()
    _resampled(pixels, rows, columns, preprocess.interpolation, canvas[: rows.grid, : columns.grid])
    return canvas


def _resampled(
    pixels: Pixels, rows: Axis, columns: Axis, kind: Interpolation, out: Pixels | None = None
) -> Pixels:
    """The part of ``pixels`` that both axes read, on their grid; in ``out`` if that is given."""
    down = rows.ratio > 1 or columns.ratio > 1
    smooth = down and kind in (Interpolation.BILINEAR, Interpolation.BICUBIC)
    part: cv2.typing.MatLike = pixels
    if smooth and (rows.reduce > 1 or columns.reduce > 1):
        part = pixels[
            rows.start * rows.reduce : rows.stop * rows.reduce,
            columns.start * columns.reduce : columns.stop * columns.reduce,
        ]
        shape = (columns.stop - columns.start, rows.stop - rows.start)
        part = cv2.resize(part, shape, interpolation=cv2.INTER_AREA)
    else:
        k, m = (1, 1) if smooth else (rows.reduce, columns.reduce)
        part = pixels[rows.start * k : rows.stop * k, columns.start * m : columns.stop * m]
    grid = (columns.grid, rows.grid)
    flag = _PLAIN.get(kind, cv2.INTER_LINEAR)
    if smooth:
        twice = (2 * grid[0], 2 * grid[1])
        if part.shape[1::-1] != twice:
            part = cv2.resize(part, twice, interpolation=flag)
        across, along = smoothing(columns), smoothing(rows)
        if kind is Interpolation.BILINEAR and (across[0] or along[0]):
            part = cv2.sepFilter2D(
                part, -1, np.array(across, np.float32), np.array(along, np.float32)
            )
        flag = cv2.INTER_AREA
    if part.shape[1::-1] != grid:
        part = cv2.resize(part, grid, dst=out, interpolation=flag)
    elif out is not None:
        out[:] = part
    return np.asarray(part, np.uint8)
