"""Drawn frames: noise, or moving bars."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edgeresnet.core.tensors import Pixels

_NOISE_PERIOD = 509  # columns beyond the frame: as many frames until the noise repeats


def canvas(size: tuple[int, int], pattern: str, seed: int) -> Pixels:
    """A picture that is wider than its frames; ``size`` is their height and width."""
    return _noise(size, seed) if pattern == "noise" else _bars(size)


def windows(drawn: Pixels, width: int, pattern: str, count: int) -> Iterator[Pixels]:
    """``count`` views of the canvas, each further to the right; 0 never ends."""
    period = drawn.shape[1] - width
    step = 1 if pattern == "noise" else max(1, width // 160)
    index = 0
    while not count or index < count:
        left = index * step % period
        yield drawn[:, left : left + width]
        index += 1


def _noise(size: tuple[int, int], seed: int) -> Pixels:
    shape = (size[0], size[1] + _NOISE_PERIOD, 3)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def _bars(size: tuple[int, int]) -> Pixels:
    """Eight bars in the corners of the colour cube, fading to black at the bottom."""
    height, width = size
    corner = (np.arange(2 * width) % width) * 8 // width
    colours = (corner[:, None] >> np.arange(3) & 1) * 255
    light = np.linspace(1, 0.25, height)[:, None, None]
    return (colours * light).astype(np.uint8)
