"""``synthetic://640x480?count=100&seed=0&fps=30``: drawn frames, for tests and benchmarks.

With ``fps`` it is live, captured in a child like a camera; ``fail=N`` breaks the connection off
after so many frames of it, ``hang=N`` stops giving any: to see what a run makes of it.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Literal

from pydantic import Field

from edgeresnet.core.errors import UsageError
from edgeresnet.core.schema import Schema, parse
from edgeresnet.sources.canvas import canvas, windows
from edgeresnet.sources.capture import CaptureSource, captured
from edgeresnet.sources.grab import Order
from edgeresnet.sources.shots import Shot, Shots, ShotSource
from edgeresnet.sources.terms import Terms

_MAX_SIDE = 16384
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
    fail: int = Field(0, ge=0)
    """Live: break off after so many frames, and again after each new connection; 0 never."""
    hang: int = Field(0, ge=0)
    """Live: stop giving frames after so many, without a word; 0 never."""


def open_place(
    place: str, options: Mapping[str, str], terms: Terms
) -> AbstractContextManager[ShotSource | CaptureSource]:
    """Draw frames of the size ``place`` (``WIDTHxHEIGHT``, empty for 640x480)."""
    chosen = parse(Options, options, "source synthetic://", UsageError)
    size = re.fullmatch(r"(\d{1,5})x(\d{1,5})", place or "640x480", re.ASCII)
    width, height = (int(size[1]), int(size[2])) if size else (0, 0)
    if not (0 < width <= _MAX_SIDE and 0 < height <= _MAX_SIDE):
        raise UsageError(
            f"source synthetic://: no size: {place!r}",
            hint=f"synthetic://WIDTHxHEIGHT, sides of 1 to {_MAX_SIDE}",
        )
    name = terms.named("synthetic")
    if chosen.live or chosen.fps:
        fps = chosen.fps or _LIVE_FPS
        told = {**chosen.model_dump(), "fps": fps}
        return captured(Order("drawn", f"{height}x{width}", told), name, terms, fps=fps)
    return _opened((height, width), chosen, name, terms)


@contextmanager
def _opened(
    size: tuple[int, int], options: Options, name: str, terms: Terms
) -> Generator[ShotSource]:
    yield ShotSource(name, lambda: _shots(size, options), terms.stop)


def _shots(size: tuple[int, int], options: Options) -> Shots:
    """Each a copy: drawing every frame anew would cost ten times more."""
    drawn = canvas(size, options.pattern, options.seed)
    for pixels in windows(drawn, size[1], options.pattern, options.count):
        yield Shot(pixels.copy())
