"""``synthetic://640x480?count=100&seed=0&fps=30``: drawn frames, for tests and benchmarks."""

from __future__ import annotations

import re
import threading
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Literal

import numpy as np
from pydantic import Field

from edgeresnet.core.errors import UsageError
from edgeresnet.core.schema import Schema, parse
from edgeresnet.core.tensors import Pixels
from edgeresnet.sources.shots import Shot, Shots, ShotSource, source_name

_MAX_SIDE = 16384
_NOISE_PERIOD = 509  # columns beyond the frame: as many frames until the noise repeats
_LIVE_FPS = 30.0


class Options(Schema):
    """What may follow the ``?``."""

    count: int = Field(100, ge=0)
    """Frames to give; 0 never ends."""
    seed: int = Field(0, ge=0)
    pattern: Literal["noise", "bars"] = "noise"
    """Noise is the hardest to compress, moving bars are the easiest to look at."""
    live: bool = False
    fps: float = Field(0, ge=0, le=10_000)
    """Above 0: live, at this pace. A live source without ``fps`` gives 30."""


def open_place(
    place: str, options: Mapping[str, str], *, index: int, stop: threading.Event
) -> AbstractContextManager[ShotSource]:
    """Draw frames of the size ``place`` (``WIDTHxHEIGHT``, empty for 640x480)."""
    chosen = parse(Options, options, "source synthetic://", UsageError)
    size = re.fullmatch(r"(\d{1,5})x(\d{1,5})", place or "640x480", re.ASCII)
    width, height = (int(size[1]), int(size[2])) if size else (0, 0)
    if not (0 < width <= _MAX_SIDE and 0 < height <= _MAX_SIDE):
        raise UsageError(
            f"source synthetic://: no size: {place!r}",
            hint=f"synthetic://WIDTHxHEIGHT, sides of 1 to {_MAX_SIDE}",
        )
    return _opened((height, width), chosen, source_name("synthetic", index), stop)


@contextmanager
def _opened(
    size: tuple[int, int], options: Options, name: str, stop: threading.Event
) -> Generator[ShotSource]:
    live = options.live or options.fps > 0
    fps = (options.fps or _LIVE_FPS) if live else None
    yield ShotSource(name, lambda: _shots(size, options), stop, live=live, fps=fps, paced=live)


def _shots(size: tuple[int, int], options: Options) -> Shots:
    """Windows of one canvas, each a copy: drawing every frame anew would cost ten times more."""
    canvas = _noise(size, options.seed) if options.pattern == "noise" else _bars(size)
    width = size[1]
    period = canvas.shape[1] - width
    step = 1 if options.pattern == "noise" else max(1, width // 160)
    index = 0
    while not options.count or index < options.count:
        left = index * step % period
        yield Shot(canvas[:, left : left + width].copy())
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
