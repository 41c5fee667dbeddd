"""The part of a picture that the model looks at, in pixels or in parts of the frame."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from edgeresnet.core.errors import UsageError
from edgeresnet.core.frames import Region

_NUMBER = re.compile(r"\d+(\.\d*)?|\.\d+")


@dataclass(frozen=True)
class RegionSpec:
    """Left, top, width and height: whole pixels, or parts of the frame between 0 and 1."""

    left: float
    top: float
    width: float
    height: float
    parts: bool

    @staticmethod
    def of(text: str, what: str) -> RegionSpec:
        """``x,y,w,h``; numbers with a decimal point are parts of the frame. Else a usage error."""
        hint = "roi=LEFT,TOP,WIDTH,HEIGHT in pixels, or in parts of the frame: roi=0.25,0.0,0.5,1.0"
        words = [word.strip() for word in text.split(",")]
        if len(words) != 4 or not all(map(_NUMBER.fullmatch, words)):
            raise UsageError(f"{what}: roi={text!r} is not four numbers", hint=hint)
        pointed = {"." in word for word in words}
        left, top, width, height = map(float, words)
        if len(pointed) > 1:
            raise UsageError(f"{what}: roi={text} mixes pixels and parts of the frame", hint=hint)
        if not (width > 0 and height > 0):
            raise UsageError(f"{what}: roi={text} has no area", hint=hint)
        parts = pointed == {True}
        if parts and (left + width > 1 or top + height > 1):
            raise UsageError(f"{what}: roi={text} leaves the frame", hint=hint)
        return RegionSpec(left, top, width, height, parts)

    def on(self, width: int, height: int) -> Region | None:
        """The pixels of it in a frame of this size; None when it lies outside."""
        across, down = (width, height) if self.parts else (1, 1)
        left, top = math.floor(self.left * across), math.floor(self.top * down)
        right = min(math.ceil((self.left + self.width) * across), width)
        bottom = min(math.ceil((self.top + self.height) * down), height)
        if left >= right or top >= bottom:
            return None
        return left, top, right - left, bottom - top
