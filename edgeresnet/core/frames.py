"""One picture on its way in."""

from __future__ import annotations

from dataclasses import dataclass

from edgeresnet.core.tensors import Pixels


@dataclass(frozen=True, eq=False)
class Frame:
    """BGR pixels, height x width x 3, and when the sensor gave them to us."""

    pixels: Pixels
    index: int
    """Position in the source, from 0; every captured frame has one, dropped frames included."""
    captured_ns: int
    """``time.monotonic_ns()`` at capture; latency is counted from here."""
    source: str = ""
    """Name of the source, unique within a run and free of credentials."""
    name: str = ""
    """The file this frame came from, when each frame has its own."""

    def __post_init__(self) -> None:
        shape = self.pixels.shape
        if len(shape) != 3 or shape[2] != 3 or 0 in shape or self.pixels.dtype != "uint8":
            raise ValueError(
                f"a picture is uint8 height x width x 3, got "
                f"{self.pixels.dtype}{list(self.pixels.shape)}"
            )

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self.pixels.shape[1])
