"""Puts sprites into pictures, in perspective, and tells where they came to lie."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeresnet.datasets.procedural.brush import Pixels

FLAT = ((0.0, 0.0), (0.0, 0.0), (0.0, 0.0), (0.0, 0.0))
SOLID = 96  # alpha from which a pixel counts as the thing's own
UNIT_CORNERS = np.asarray([(-1, -1), (1, -1), (1, 1), (-1, 1)], np.float32)

Corner = tuple[float, float]


@dataclass(frozen=True)
class Placement:
    """Where a sprite goes: centre x, y and side in pixels, turn in degrees clockwise.

    tilt moves the corners (top left, top right, bottom right, bottom left), in half sides.
    """

    x: float
    y: float
    side: float
    turn: float = 0.0
    tilt: tuple[Corner, Corner, Corner, Corner] = FLAT

    def corners(self) -> NDArray[np.float32]:
        """The sprite's corners (4, 2) in the picture, pixels."""
        a = np.radians(self.turn)
        spin = np.asarray([(np.cos(a), np.sin(a)), (-np.sin(a), np.cos(a))])
        points = (UNIT_CORNERS + np.asarray(self.tilt)) @ spin * (self.side / 2)
        return np.asarray(np.add(points, (self.x, self.y)), np.float32)


@dataclass(frozen=True)
class Placed:
    """box: xyxy in pixels, within the picture; visible: share of the sprite's area inside it."""

    box: tuple[float, float, float, float]
    visible: float


def random_tilt(rng: np.random.Generator, most: float) -> tuple[Corner, Corner, Corner, Corner]:
    """Perspective of up to most half sides at each corner."""
    a, b, c, d = (tuple(corner) for corner in rng.uniform(-most, most, (4, 2)).tolist())
    return a, b, c, d


def place(picture: Pixels, sprite: Pixels, placement: Placement) -> Placed | None:
    """Composites a square premultiplied BGRA sprite onto a BGR or BGRA picture, in place.

    Sprites should be at most about twice as large as they appear. None: nothing of it is inside.
    """
    height, width = picture.shape[:2]
    corners = placement.corners()
    x0, y0 = np.maximum(np.floor(corners.min(0)).astype(int), 0).tolist()
    right, bottom = (np.ceil(corners.max(0)).astype(int) + 1).tolist()
    x1, y1 = min(right, width), min(bottom, height)
    if x1 - x0 < 2 or y1 - y0 < 2:
        return None
    edge = sprite.shape[0] - 0.5
    source = np.asarray([(-0.5, -0.5), (edge, -0.5), (edge, edge), (-0.5, edge)], np.float32)
    transform = cv2.getPerspectiveTransform(source, corners - np.asarray((x0, y0), np.float32))
    stamp = cv2.warpPerspective(sprite, transform, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR)
    over(picture[y0:y1, x0:x1], np.asarray(stamp, np.uint8))
    solid = (stamp[..., 3] >= SOLID).view(np.uint8)
    left, top, wide, tall = cv2.boundingRect(solid)
    if wide == 0:
        return None
    full = cv2.countNonZero((sprite[..., 3] >= SOLID).view(np.uint8))
    area = full * cv2.contourArea(corners) / sprite.shape[0] ** 2
    box = (float(x0 + left), float(y0 + top), float(x0 + left + wide), float(y0 + top + tall))
    return Placed(box, min(1.0, cv2.countNonZero(solid) / max(area, 1.0)))


def over(picture: Pixels, layer: Pixels) -> None:
    """Composites a premultiplied BGRA layer of the same size onto the picture, in place."""
    channels = picture.shape[2]
    veil = cv2.cvtColor(
        255 - layer[..., 3], cv2.COLOR_GRAY2BGR if channels == 3 else cv2.COLOR_GRAY2BGRA
    )
    if channels == 4:
        veil[..., 3] = veil[..., 0]
    kept = cv2.multiply(picture, veil, scale=1 / 255)
    picture[...] = cv2.add(kept, layer[..., :channels] if channels == 3 else layer)


def shadow_of(sprite: Pixels, strength: float, softness: float) -> Pixels:
    """A soft dark copy of the sprite's outline, at a quarter of its size.

    softness: standard deviation of the blur as a share of the side.
    """
    side = max(8, sprite.shape[0] // 4)
    alpha = cv2.resize(sprite[..., 3], (side, side), interpolation=cv2.INTER_AREA)
    alpha = cv2.GaussianBlur(alpha, (0, 0), max(0.5, softness * side))
    shadow: Pixels = np.zeros((side, side, 4), np.uint8)
    shadow[..., 3] = alpha * strength
    return shadow
