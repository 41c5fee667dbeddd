"""Where clips take place: a street or a table under a slowly moving camera."""

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeresnet.datasets.procedural.brush import Pixels
from edgeresnet.datasets.procedural.placing import over
from edgeresnet.datasets.procedural.street import HORIZON, KERB, road, skyline
from edgeresnet.datasets.procedural.textures import Rng, cloth, grass, sky, wood

PAN_PERIOD_S = 26.0
PAN_REACH = 0.55  # of the picture's width, to either side


class Stage(Protocol):
    """A background that knows where things may stand and pass."""

    def view(self, time_s: float) -> tuple[Pixels, float]:
        """The empty picture at that time, to be drawn on, and the pan in pixels to the right."""

    def standing(self, rng: Rng) -> tuple[float, float]:
        """(foot or middle y, side) of a thing that stays where it is, in picture heights."""

    def passing(self, rng: Rng) -> tuple[float, float]:
        """(foot or middle y, side) of a thing that passes by, in picture heights."""

    @property
    def upright(self) -> bool:
        """Whether things stand on their foot; else they lie and y is their middle."""


def pan(time_s: float, width: int) -> float:
    """Camera position in pixels: to and fro, easing at both ends."""
    return width * PAN_REACH * float(np.sin(2 * np.pi * time_s / PAN_PERIOD_S))


def shifted(layer: Pixels, x: float, y: float, width: int) -> Pixels:
    """The part of layer that starts at (x, y), between pixels too; as high as the layer less y."""
    matrix = np.asarray([[1, 0, -x], [0, 1, -y]], np.float32)
    return np.asarray(
        cv2.warpAffine(layer, matrix, (width, layer.shape[0] - int(np.ceil(y)))), np.uint8
    )


@dataclass(frozen=True, eq=False)
class Street:
    """Sky, houses and road, the farther the slower."""

    clouds: Pixels
    houses: Pixels
    ground: Pixels
    width: int
    upright: bool = True

    def view(self, time_s: float) -> tuple[Pixels, float]:
        """See Stage."""
        position = pan(time_s, self.width)
        reach = PAN_REACH * self.width
        far = shifted(self.clouds, 0.25 * (position + reach) + 2.5 * (time_s % 60), 0, self.width)
        over(far, shifted(self.houses, 0.6 * (position + reach), 0, self.width))
        near = shifted(self.ground, position + reach, 0, self.width)
        return np.concatenate([far, near]), position

    def standing(self, rng: Rng) -> tuple[float, float]:
        """On the pavement."""
        return float(rng.uniform(HORIZON + 0.05, KERB - 0.02)), float(rng.uniform(0.2, 0.3))

    def passing(self, rng: Rng) -> tuple[float, float]:
        """In the lane."""
        return float(rng.uniform(0.92, 1.0)), float(rng.uniform(0.34, 0.42))


def build_street(rng: Rng, width: int, height: int) -> Street:
    """Draws the layers of a street for pictures of that size."""
    wide = int(np.ceil((1 + 2 * PAN_REACH) * width)) + 2
    horizon = int(HORIZON * height)
    clouds = sky(rng, int(width * (1 + 0.5 * PAN_REACH)) + 160, height)[:horizon]
    houses = skyline(rng, int(width * (1 + 1.2 * PAN_REACH)) + 2, height)[:horizon]
    return Street(clouds, np.ascontiguousarray(houses), road(rng, wide, height), width)


@dataclass(frozen=True, eq=False)
class Table:
    """A surface seen from above, in the light of a lamp."""

    surface: Pixels
    lamp: Pixels
    width: int
    upright: bool = False

    def view(self, time_s: float) -> tuple[Pixels, float]:
        """See Stage."""
        position = pan(time_s, self.width)
        seen = shifted(self.surface, position + PAN_REACH * self.width, 0, self.width)
        return np.asarray(cv2.multiply(seen, self.lamp, scale=1 / 215), np.uint8), position

    def standing(self, rng: Rng) -> tuple[float, float]:
        """Along the upper and the lower edge."""
        y = rng.uniform(0.06, 0.2) if rng.random() < 0.5 else rng.uniform(0.8, 0.94)
        return float(y), float(rng.uniform(0.16, 0.26))

    def passing(self, rng: Rng) -> tuple[float, float]:
        """Anywhere outside the middle."""
        return float(rng.choice((0.14, 0.86)) + rng.uniform(-0.06, 0.06)), float(
            rng.uniform(0.18, 0.28)
        )


def build_table(rng: Rng, width: int, height: int) -> Table:
    """Draws a wooden table, a table cloth or a lawn for pictures of that size."""
    wide = int(np.ceil((1 + 2 * PAN_REACH) * width)) + 2
    surface = (wood, wood, cloth, grass)[int(rng.integers(4))](rng, wide, height)
    x = np.linspace(-1, 1, width, dtype=np.float32)[None] - np.float32(rng.uniform(-0.4, 0.4))
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None] - np.float32(rng.uniform(-0.4, 0.4))
    glow: NDArray[np.float32] = 235 * np.exp(-0.22 * (x * x + y * y))
    lamp = np.repeat(glow.astype(np.uint8)[..., None], 3, 2)
    return Table(surface, lamp, width)


def build_stage(rng: Rng, width: int, height: int) -> Stage:
    """A street in three cases of five, else a table."""
    if rng.random() < 0.6:
        return build_street(rng, width, height)
    return build_table(rng, width, height)
