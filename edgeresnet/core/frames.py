"""One picture on its way in."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from edgeresnet.core.tensors import Pixels

Region = tuple[int, int, int, int]
"""Left, top, width and height in pixels of the frame."""


@dataclass(frozen=True, eq=False)
class Frame:
    """BGR pixels, height x width x 3, and when the sensor gave them to us.

    The pixels may lie in a camera's ring of buffers: their place is used again once nobody refers
    to them any more. Keep a reference, or a copy for longer.
    """

    pixels: Pixels
    index: int
    """Position in the source, from 0; every captured frame has one, dropped frames included."""
    captured_ns: int
    """``time.monotonic_ns()`` at capture; latency is counted from here."""
    source: str = ""
    """Name of the source, unique within a run and free of credentials."""
    name: str = ""
    """The file this frame came from, when each frame has its own."""
    region: Region | None = None
    """The part that the model looks at; None is all of it."""

    def __post_init__(self) -> None:
        shape = self.pixels.shape
        if len(shape) != 3 or shape[2] != 3 or 0 in shape or self.pixels.dtype != "uint8":
            raise ValueError(
                f"a picture is uint8 height x width x 3, got "
                f"{self.pixels.dtype}{list(self.pixels.shape)}"
            )
        if self.region is not None:
            left, top, width, height = self.region
            inside = 0 <= left < left + width <= shape[1] and 0 <= top < top + height <= shape[0]
            if not inside:
                raise ValueError(f"region {self.region} is not inside {shape[1]}x{shape[0]}")

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self.pixels.shape[1])

    @property
    def looked_at(self) -> Pixels:
        """The pixels of the region, as a view."""
        if self.region is None:
            return self.pixels
        left, top, width, height = self.region
        return self.pixels[top : top + height, left : left + width]

    def without_pixels(self) -> Frame:
        """The same frame in black, which takes no memory: for those who need only its facts."""
        return replace(self, pixels=np.broadcast_to(np.uint8(0), self.pixels.shape))
