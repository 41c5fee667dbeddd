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


@dataclass(frozen=True)
class _Axis:
    """One axis of the way from source pixels to fitted pixels."""

    start: int
    stop: int
    """Source pixels used, of the picture as reduced by ``reduce``."""
    reduce: int
    """Whole factor by which area-averaging shrinks first."""
    grid: int
    """Fitted pixels that ``start`` to ``stop`` become."""
    skip: int
    """Fitted pixels cut off before the first that is kept."""
    ratio: float
    """Reduced source pixels per fitted pixel."""


_NEIGHBOURS = 2
"""Source pixels on either side that an enlarged pixel may depend on."""
_FARTHEST = 32
_PIXEL_COST = 0.002
"""What one more fitted pixel outside the crop is worth, in fitted pixels of misalignment."""


def _axis(source: int, resized: int, size: int) -> _Axis:
    """Plan one axis: ``source`` pixels shrunk to ``resized``, the middle ``size`` kept.

    Only the source pixels under the crop and a few around it are read. The cut is made where a
    fitted pixel's edge falls on a whole source pixel, or nearly, so that the sampling grid is that
    of the uncropped picture. Crop offsets are rounded as torchvision's ``center_crop`` does.
    """
    ratio = source / resized
    reduce = int(ratio / 2) if ratio >= 4 else 1
    ratio /= reduce
    left = round((resized - size) / 2.0)
    limit = source // reduce
    near = math.ceil(_NEIGHBOURS / ratio)

    def cut(edge: int, outwards: int, end: int) -> int:
        edges = range(near, max(near, _FARTHEST) + 1)
        places = [min(max(edge + away * outwards, 0), end) for away in edges]

        def cost(place: int) -> float:
            off = abs(place * ratio - min(round(place * ratio), limit)) / ratio
            return off + _PIXEL_COST * abs(place - edge)

        return min(places, key=cost)

    low, high = cut(left, -1, resized), cut(left + size, 1, resized)
    start, stop = round(low * ratio), min(round(high * ratio), limit)
    return _Axis(start, max(stop, start + 1), reduce, high - low, left - low, ratio)


@lru_cache(maxsize=64)
def _plan(height: int, width: int, pre: Preprocess) -> tuple[_Axis, _Axis]:
    """Both axes; the longer side is truncated as torchvision's ``resize`` does."""
    rows, columns = pre.size
    if pre.crop is Crop.NONE or pre.resize is None:
        return _axis(height, rows, rows), _axis(width, columns, columns)
    if height <= width:
        resized = pre.resize, int(pre.resize * width / height)
    else:
        resized = int(pre.resize * height / width), pre.resize
    return _axis(height, resized[0], rows), _axis(width, resized[1], columns)


@lru_cache(maxsize=64)
def _smoothing(axis: _Axis) -> tuple[float, float, float]:
    """Three taps that bring the twofold grid to the variance of PIL's triangle filter.

    A triangle of half-width ``r`` has variance r^2/6. What the other steps contribute, in reduced
    source pixels: area reduction (1 - 1/k^2)/12, linear sampling at phase f on average f(1-f), the
    final mean of two samples (r/2)^2/4. The taps (b, 1-2b, b) give the rest, 2b (r/2)^2.
    """
    step = axis.ratio / 2
    phase = ((np.arange(2 * axis.grid) + 0.5) * step - 0.5) % 1.0
    sampling = float(np.mean(phase * (1 - phase)))
    reduction = (1 - 1 / axis.reduce**2) / 12
    missing = (axis.ratio**2 / 6 - reduction - sampling) / step**2 - 0.25
    b = min(max(missing / 2, 0.0), 0.25)
    return (b, 1 - 2 * b, b) if b > 0.01 else (0.0, 1.0, 0.0)


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
    as it is.
    """
    rows, columns = _plan(pixels.shape[0], pixels.shape[1], preprocess)
    down = rows.ratio > 1 or columns.ratio > 1
    smooth = down and preprocess.interpolation in (Interpolation.BILINEAR, Interpolation.BICUBIC)
    part = pixels
    if smooth and (rows.reduce > 1 or columns.reduce > 1):
        part = pixels[
            rows.start * rows.reduce : rows.stop * rows.reduce,
            columns.start * columns.reduce : columns.stop * columns.reduce,
        ]
        shape = (columns.stop - columns.start, rows.stop - rows.start)
        part = cv2.resize(part, shape, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    else:
        k, m = (1, 1) if smooth else (rows.reduce, columns.reduce)
        part = pixels[rows.start * k : rows.stop * k, columns.start * m : columns.stop * m]
    grid = (columns.grid, rows.grid)
    if not smooth:
        flag = _PLAIN.get(preprocess.interpolation, cv2.INTER_LINEAR)
        whole = part if part.shape[1::-1] == grid else cv2.resize(part, grid, interpolation=flag)
    else:
        twice = (2 * grid[0], 2 * grid[1])
        if part.shape[1::-1] != twice:
            kind = preprocess.interpolation
            flag = cv2.INTER_CUBIC if kind is Interpolation.BICUBIC else cv2.INTER_LINEAR
            part = cv2.resize(part, twice, interpolation=flag)  # type: ignore[assignment]
        across, down_taps = _smoothing(columns), _smoothing(rows)
        if preprocess.interpolation is Interpolation.BILINEAR and (across[0] or down_taps[0]):
            part = cv2.sepFilter2D(  # type: ignore[assignment]
                part, -1, np.array(across, np.float32), np.array(down_taps, np.float32)
            )
        whole = cv2.resize(part, grid, interpolation=cv2.INTER_AREA)
    height, width = preprocess.size
    return whole[rows.skip : rows.skip + height, columns.skip : columns.skip + width]  # type: ignore[return-value]
