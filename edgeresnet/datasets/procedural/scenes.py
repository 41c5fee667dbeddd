"""Single labelled pictures, each a function of its seed and index."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeresnet.datasets.procedural import effects
from edgeresnet.datasets.procedural.brush import Pixels, near
from edgeresnet.datasets.procedural.placing import (
    Placed,
    Placement,
    place,
    random_tilt,
    shadow_of,
)
from edgeresnet.datasets.procedural.shapes import CLASSES, SHAPES, draw_sprite
from edgeresnet.datasets.procedural.street import street
from edgeresnet.datasets.procedural.textures import SURFACES, Rng, clutter

FILE_QUALITY = 95


@dataclass(frozen=True, eq=False)
class Scene:
    """A picture and what is in it.

    pixels: (H, W, 3) uint8 BGR. class_index: of the main thing.
    boxes: (n, 4) float32 xyxy in pixels, around whole things, cut at the picture's edge; of a
    picture the first is the main thing's. box_classes: (n,) int64.
    """

    pixels: Pixels
    class_index: int
    boxes: NDArray[np.float32]
    box_classes: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.boxes.shape != (len(self.box_classes), 4):
            raise ValueError(f"boxes {self.boxes.shape} for {len(self.box_classes)} classes")


def draw_picture(index: int, *, seed: int, size: tuple[int, int] = (160, 160)) -> Scene:
    """Picture number index of the set that seed names; size is (width, height) in pixels.

    Classes take turns, so any len(CLASSES) pictures in a row hold each class once.
    """
    rng = np.random.default_rng((seed, index))
    width, height = size
    side = min(size)
    main = index % len(CLASSES)
    picture = background(rng, width, height)
    found: list[tuple[int, Placed]] = []
    for _ in range(int(rng.choice((0, 1, 2), p=(0.6, 0.27, 0.13)))):
        other = int((main + rng.integers(1, len(CLASSES))) % len(CLASSES))
        angle, away = rng.uniform(0, 2 * np.pi), rng.uniform(0.4, 0.52)
        x = width * (0.5 + away * np.cos(angle))
        y = height * (0.5 + away * np.sin(angle))
        placed = _put(rng, picture, other, x, y, side * rng.uniform(0.14, 0.3))
        if placed is not None and placed.visible > 0.3:
            found.append((other, placed))
    reach = side * rng.uniform(0.27, 0.82)
    x, y = (0.5 * np.asarray(size) + np.clip(rng.normal(0, 0.07, 2), -0.15, 0.15) * side).tolist()
    placed = _put(rng, picture, main, x, y, reach)
    if placed is None:
        raise AssertionError(f"picture {index} of seed {seed} lost its main thing")
    found.insert(0, (main, placed))
    for _ in range(int(rng.choice((0, 1, 2), p=(0.5, 0.38, 0.12)))):
        effects.cover(rng, picture, x, y, reach)
    for effect in (effects.light, effects.blur, effects.sensor_noise, effects.jpeg):
        picture = effect(rng, picture)
    return Scene(
        picture,
        main,
        np.asarray([placed.box for _, placed in found], np.float32),
        np.asarray([index for index, _ in found], np.int64),
    )


def write_pictures(
    folder: Path, count: int, seed: int, size: tuple[int, int] = (160, 160)
) -> tuple[Path, ...]:
    """Writes pictures 0 to count - 1 as JPEG files into one folder a class, named as the class."""
    paths = []
    for index in range(count):
        scene = draw_picture(index, seed=seed, size=size)
        path = folder / CLASSES[scene.class_index] / f"{index:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        if not cv2.imwrite(str(path), scene.pixels, [cv2.IMWRITE_JPEG_QUALITY, FILE_QUALITY]):
            raise OSError(f"could not write {path}")
        paths.append(path)
    return tuple(paths)


def background(rng: Rng, width: int, height: int) -> Pixels:
    """A street or a surface, at times with blobs and strokes on it that are no thing."""
    kind = int(rng.integers(len(SURFACES) + 2))
    if kind >= len(SURFACES):
        wide = int(width * rng.uniform(1.0, 1.6))
        zoomed = int(height * wide / width)
        x, y = int(rng.integers(wide - width + 1)), int(rng.integers(zoomed - height + 1))
        whole = street(rng, wide, zoomed)
        return np.ascontiguousarray(whole[y : y + height, x : x + width])
    picture = SURFACES[kind](rng, width, height)
    if rng.random() < 0.5:
        clutter(rng, picture, int(rng.integers(1, 9)))
    return picture


def _put(rng: Rng, picture: Pixels, index: int, x: float, y: float, side: float) -> Placed | None:
    """Draws a thing of the class, with pole and shadow as it may be, onto the picture."""
    shape = SHAPES[index]
    sprite = draw_sprite(index, max(32, int(1.6 * side)), rng)
    turn = rng.uniform(-1, 1) * shape.turn
    where = Placement(x, y, side, turn, random_tilt(rng, 0.16))
    if shape.sign and rng.random() < 0.4:
        lean = np.radians(turn)
        foot = (int(x - 3 * side * np.sin(lean)), int(y + 3 * side * np.cos(lean)))
        grey, thick = near((140.0, 140.0, 140.0), rng, 50), max(2, int(0.07 * side))
        cv2.line(picture, (int(x), int(y)), foot, grey, thick, cv2.LINE_AA)
    if rng.random() < 0.5:
        off = rng.uniform(-0.1, 0.1, 2) * side
        fallen = Placement(x + off[0], y + off[1], side * 1.02, turn, where.tilt)
        place(picture, shadow_of(sprite, rng.uniform(0.25, 0.6), 0.035), fallen)
    return place(picture, sprite, where)
