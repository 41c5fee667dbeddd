"""Textured surfaces to put things on."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgeresnet.datasets.procedural.brush import Colour, Pixels, any_colour, hsv, near

Rng = np.random.Generator
Plane = NDArray[np.float32]


def noise(rng: Rng, width: int, height: int, cell: float, octaves: int = 4) -> Plane:
    """Smooth noise (height, width), about 0 to 1; cell is the coarsest octave's size in pixels."""
    total = np.zeros((height, width), np.float32)
    weight = 0.5
    for octave in range(octaves):
        step = max(1.0, cell / 2**octave)
        shape = (int(height / step) + 2, int(width / step) + 2)
        grid = rng.random(shape, dtype=np.float32)
        total += weight * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
        weight /= 2
    return total


def grain(rng: Rng, width: int, height: int) -> Plane:
    """Noise without neighbours (height, width), mean 0, standard deviation 1."""
    values = rng.integers(0, 256, (2, height, width), dtype=np.uint8).astype(np.float32)
    plane: Plane = (values[0] + values[1] - 255.0) / 104.5
    return plane


def saturated(values: ArrayLike) -> Pixels:
    """Values cut to 0 to 255 and rounded, as uint8."""
    return np.asarray(cv2.convertScaleAbs(np.maximum(values, 0)), np.uint8)


def blend(first: Colour, second: Colour, share: Plane) -> Pixels:
    """Picture (h, w, 3) between two colours, share 0 to 1 of the second."""
    a, b = np.asarray(first, np.float32), np.asarray(second, np.float32)
    return saturated(a + share[..., None] * (b - a))


def gradient(rng: Rng, width: int, height: int) -> Pixels:
    """Two colours into each other, as studio paper."""
    angle = rng.uniform(0, 2 * np.pi)
    x = np.linspace(-0.5, 0.5, width, dtype=np.float32)[None] * np.float32(np.cos(angle))
    y = np.linspace(-0.5, 0.5, height, dtype=np.float32)[:, None] * np.float32(np.sin(angle))
    share = x + y + 0.5 + 0.1 * noise(rng, width, height, 40, 2)
    vivid = bool(rng.random() < 0.4)
    return blend(any_colour(rng, vivid), any_colour(rng, vivid), share)


def plaster(rng: Rng, width: int, height: int) -> Pixels:
    """Blotchy wall."""
    colour = any_colour(rng, vivid=bool(rng.random() < 0.3))
    share = noise(rng, width, height, rng.uniform(15, 70), 5)
    return blend(near(colour, rng, 40), near(colour, rng, 40), share)


def bricks(rng: Rng, width: int, height: int) -> Pixels:
    """Brick wall or, with square stones, tiles."""
    tall = rng.uniform(11, 24) * height / 160
    long = tall * rng.choice((1.0, 2.0, 2.6))
    y, x = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)[None]
    row = (y / tall).astype(np.int32)
    across = x + (row % 2) * (long / 2 if long > tall else 0)
    column = (across / long).astype(np.int32)
    base = hsv(rng.uniform(0.0, 0.12), rng.uniform(0.1, 0.65), rng.uniform(0.4, 0.8))
    tones = np.asarray(base) + rng.normal(0, 10, (int(row.max()) + 1, int(column.max()) + 1, 1))
    wall = tones[row, column].astype(np.float32)
    joint = max(1.0, 0.1 * tall)
    mortar = (y % tall < joint) | (across % long < joint)
    wall[mortar] = near((150.0, 155.0, 160.0), rng, 40)
    wall += 9 * grain(rng, width, height)[..., None]
    return saturated(wall)


def grass(rng: Rng, width: int, height: int) -> Pixels:
    """Meadow with blades."""
    hue = rng.uniform(0.2, 0.33)
    dark, light = (
        hsv(hue, 0.65, rng.uniform(0.2, 0.4)),
        hsv(hue - 0.02, 0.6, rng.uniform(0.45, 0.75)),
    )
    picture = blend(dark, light, noise(rng, width, height, 24, 4))
    for colour in (light, dark, hsv(hue - 0.05, 0.5, 0.75)):
        count = width * height // 260
        foot = rng.random((count, 2)) * (width, height)
        tip = foot + rng.normal((0, -9), (4, 3), (count, 2)) * height / 160
        cv2.polylines(
            picture,
            list(np.rint(np.stack([foot, tip], 1)).astype(np.int32)),
            False,
            near(colour, rng),
        )
    return picture


def asphalt(rng: Rng, width: int, height: int) -> Pixels:
    """Road surface, sometimes with a painted line."""
    tone = rng.uniform(60, 130)
    plane = tone + 40 * (noise(rng, width, height, 60, 3) - 0.45) + 13 * grain(rng, width, height)
    picture = np.repeat(saturated(plane)[..., None], 3, 2)
    if rng.random() < 0.6:
        ends = rng.uniform(-0.2, 1.2, (2, 2)) * (width, height)
        ends[:, int(rng.integers(2))] = (0, max(width, height))
        paint = near((205.0, 215.0, 215.0), rng, 25)
        (x0, y0), (x1, y1) = ends.astype(int).tolist()
        cv2.line(picture, (x0, y0), (x1, y1), paint, int(rng.integers(4, 12)), cv2.LINE_AA)
    return picture


def sky(rng: Rng, width: int, height: int) -> Pixels:
    """Sky with clouds, or a grey one."""
    hue = rng.uniform(0.54, 0.61)
    fall = np.linspace(0, 1, height, dtype=np.float32)[:, None] * np.ones((1, width), np.float32)
    blue = hsv(hue, rng.uniform(0.1, 0.75), rng.uniform(0.6, 0.95))
    clear = blend(blue, hsv(hue, 0.12, rng.uniform(0.85, 0.98)), fall)
    cell = height / rng.uniform(0.9, 2.5)
    stretched = noise(rng, width, 2 * height, cell, 6)  # clouds are wider than high
    cover = cv2.resize(stretched, (width, height), interpolation=cv2.INTER_AREA)
    cloud = np.clip((cover - rng.uniform(0.4, 0.62)) * 6, 0, 0.92)[..., None]
    return saturated(clear * (1 - cloud) + rng.uniform(205, 248) * cloud)


def wood(rng: Rng, width: int, height: int) -> Pixels:
    """Planks of a table or floor."""
    hue, depth = rng.uniform(0.05, 0.1), rng.uniform(0.35, 0.7)
    light = hsv(hue, depth, rng.uniform(0.5, 0.85))
    rows = max(2, int(height / rng.uniform(4, 9)))
    coarse = rng.random((rows, max(2, width // 60) + 1), dtype=np.float32)
    fibre = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    rings = 0.5 + 0.5 * np.sin(fibre * 9 + np.linspace(0, rng.uniform(10, 30), height)[:, None])
    share = (0.5 * fibre + 0.25 * rings + 0.05 * grain(rng, width, height)).astype(np.float32)
    plank = rng.uniform(28, 60) * height / 160
    y = np.arange(height, dtype=np.float32)
    board = (y / plank).astype(np.int32)
    share += rng.uniform(-0.15, 0.15, int(board.max()) + 1).astype(np.float32)[board][:, None]
    share[y % plank < max(1.0, 0.03 * plank)] = 1.3
    return blend(light, (light[0] * 0.45, light[1] * 0.5, light[2] * 0.55), share)


def cloth(rng: Rng, width: int, height: int) -> Pixels:
    """Checked or striped cloth."""
    step = rng.uniform(10, 34) * height / 160
    angle = rng.uniform(0, np.pi)
    x, y = np.arange(width, dtype=np.float32)[None], np.arange(height, dtype=np.float32)[:, None]
    u = x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle))
    v = y * np.float32(np.cos(angle)) - x * np.float32(np.sin(angle))
    share: Plane = (np.sin(u / step * 3) > 0).astype(np.float32)
    if rng.random() < 0.6:
        share = np.float32(0.5) * (share + (np.sin(v / step * 3) > 0))
    share = np.clip(share + np.float32(0.08) * grain(rng, width, height), 0, 1)
    return blend(
        any_colour(rng, vivid=False), any_colour(rng, vivid=bool(rng.random() < 0.5)), share
    )


def clutter(rng: Rng, picture: Pixels, count: int) -> None:
    """Draws count random blobs, patches and strokes into the picture."""
    height, width = picture.shape[:2]
    side = min(height, width)
    for _ in range(count):
        colour = any_colour(rng, vivid=bool(rng.random() < 0.5))
        middle = rng.random(2) * (width, height)
        reach = side * rng.uniform(0.04, 0.2)
        kind = rng.integers(3)
        if kind == 0:
            axes = (int(reach), int(reach * rng.uniform(0.3, 1)))
            centre = (int(middle[0]), int(middle[1]))
            cv2.ellipse(picture, centre, axes, rng.uniform(0, 180), 0, 360, colour, -1, cv2.LINE_AA)
        elif kind == 1:
            corners = middle + rng.normal(0, reach, (int(rng.integers(3, 6)), 2))
            cv2.fillConvexPoly(
                picture, cv2.convexHull(corners.astype(np.int32)), colour, cv2.LINE_AA
            )
        else:
            line = middle + np.cumsum(rng.normal(0, reach, (4, 2)), 0)
            thick = int(rng.integers(1, 2 + side // 40))
            cv2.polylines(picture, [line.astype(np.int32)], False, colour, thick, cv2.LINE_AA)


SURFACES: tuple[Callable[[Rng, int, int], Pixels], ...] = (
    gradient,
    plaster,
    bricks,
    grass,
    asphalt,
    sky,
    wood,
    cloth,
)
