"""Pictures of several things each, with the true box of every one: for detectors."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeresnet.core.files import write_text
from edgeresnet.datasets.procedural import effects
from edgeresnet.datasets.procedural.brush import Pixels, near
from edgeresnet.datasets.procedural.placing import (
    SOLID,
    Placement,
    over,
    place,
    random_tilt,
    shadow_of,
)
from edgeresnet.datasets.procedural.scenes import FILE_QUALITY, Scene, background
from edgeresnet.datasets.procedural.shapes import CLASSES, SHAPES, draw_sprite
from edgeresnet.datasets.procedural.textures import Rng

MOST_THINGS = 8
SMALLEST, LARGEST = 0.13, 0.62  # sides of things, of the picture's shorter side
LEAST_INSIDE = 0.6  # share of a thing that the picture's edge leaves
LEAST_VISIBLE = 0.55  # share of what is inside that nearer things leave
TRIES = 12
EFFECT = 0.6  # how often each effect is felt: less than for the large things of draw_picture

Mask = NDArray[np.bool_]


def draw_scene(index: int, *, seed: int, size: tuple[int, int] = (320, 320)) -> Scene:
    """Picture number index of the detection set that seed names; size is (width, height) in pixels.

    1 to 8 things, farther ones first, partly in front of each other. A box touches the visible
    part of its thing on all sides. Nothing is drawn without a box: a thing that the picture's edge
    would leave less than 60 % of, or that would hide another one by more than 45 %, is not placed.
    Scene.class_index is the first thing's, and classes take turns in it as in draw_picture.
    """
    rng = np.random.default_rng((seed, index, MOST_THINGS))
    width, height = size
    picture = background(rng, width, height)
    owner = np.full((height, width), -1, np.int8)
    whole: list[int] = []  # pixels of each thing, before anything came to lie on it
    classes: list[int] = []
    wanted = int(rng.integers(1, MOST_THINGS + 1))
    share = LARGEST if wanted <= 4 else 0.4  # of many, none fills the picture
    for number in range(wanted):
        kind = index % len(CLASSES) if not number else int(rng.integers(len(CLASSES)))
        for _ in range(TRIES):
            side = min(size) * SMALLEST * (share / SMALLEST) ** rng.random()
            x, y = rng.uniform(0.05, 0.95, 2) * size
            sprite = draw_sprite(kind, max(32, int(1.6 * side)), rng)
            turn = rng.uniform(-1, 1) * SHAPES[kind].turn
            where = Placement(float(x), float(y), side, turn, random_tilt(rng, 0.14))
            layer = np.zeros((height, width, 4), np.uint8)
            placed = place(layer, sprite, where)
            if placed is None or placed.visible < LEAST_INSIDE:
                continue
            solid = np.asarray(layer[..., 3] >= SOLID)
            if not _leaves_enough(owner, solid, whole):
                continue
            _stand(rng, picture, kind, where)
            _shadow(rng, picture, sprite, where)
            over(picture, layer)
            owner[solid] = len(whole)
            whole.append(int(solid.sum()))
            classes.append(kind)
            break
    if not classes:
        raise AssertionError(f"picture {index} of seed {seed} lost its things")
    for effect in (effects.light, _lens, effects.sensor_noise, effects.jpeg):
        if rng.random() < EFFECT:
            picture = effect(rng, picture)
    boxes = [_box(owner == number) for number in range(len(whole))]
    return Scene(picture, classes[0], np.asarray(boxes, np.float32), np.asarray(classes, np.int64))


def write_detection_set(
    folder: Path, count: int, seed: int, size: tuple[int, int] = (320, 320)
) -> Path:
    """Writes scenes 0 to count - 1 as JPEG files under ``images/``, and their boxes as COCO JSON.

    The result is the path of that ``instances.json``; category ids are class indices plus 1.
    """
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    pictures: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for index in range(count):
        scene = draw_scene(index, seed=seed, size=size)
        path = images / f"{index:06d}.jpg"
        if not cv2.imwrite(str(path), scene.pixels, [cv2.IMWRITE_JPEG_QUALITY, FILE_QUALITY]):
            raise OSError(f"could not write {path}")
        pictures.append(
            {"id": index + 1, "file_name": path.name, "width": size[0], "height": size[1]}
        )
        for (x0, y0, x1, y1), kind in zip(
            scene.boxes.tolist(), scene.box_classes.tolist(), strict=True
        ):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": index + 1,
                    "category_id": kind + 1,
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "area": (x1 - x0) * (y1 - y0),
                    "iscrowd": 0,
                }
            )
    categories = [{"id": kind + 1, "name": name} for kind, name in enumerate(CLASSES)]
    table = {"images": pictures, "annotations": annotations, "categories": categories}
    path = folder / "instances.json"
    write_text(path, json.dumps(table))
    return path


def _leaves_enough(owner: NDArray[np.int8], solid: Mask, whole: list[int]) -> bool:
    """Whether every earlier thing stays visible enough under the new one."""
    left = np.bincount(owner[~solid].astype(np.int64) + 1, minlength=len(whole) + 1)[1:]
    return bool((left >= LEAST_VISIBLE * np.asarray(whole)).all())


def _box(mask: Mask) -> tuple[float, float, float, float]:
    x, y, wide, tall = cv2.boundingRect(mask.view(np.uint8))
    return float(x), float(y), float(x + wide), float(y + tall)


def _stand(rng: Rng, picture: Pixels, kind: int, where: Placement) -> None:
    """A pole under a sign, in two cases of five."""
    if not SHAPES[kind].sign or rng.random() > 0.4:
        return
    lean = np.radians(where.turn)
    reach = where.side * rng.uniform(1.2, 2.5)
    foot = (int(where.x - reach * np.sin(lean)), int(where.y + reach * np.cos(lean)))
    grey, thick = near((140.0, 140.0, 140.0), rng, 50), max(2, int(0.07 * where.side))
    cv2.line(picture, (int(where.x), int(where.y)), foot, grey, thick, cv2.LINE_AA)


def _shadow(rng: Rng, picture: Pixels, sprite: Pixels, where: Placement) -> None:
    """A shadow under the thing, in one case of two."""
    if rng.random() < 0.5:
        return
    dx, dy = rng.uniform(-0.1, 0.1, 2) * where.side
    fallen = Placement(where.x + dx, where.y + dy, 1.02 * where.side, where.turn, where.tilt)
    place(picture, shadow_of(sprite, rng.uniform(0.25, 0.6), 0.035), fallen)


def _lens(rng: Rng, picture: Pixels) -> Pixels:
    """Slightly out of focus: small things must stay recognizable."""
    sigma = rng.uniform(0.4, 1.3) * min(picture.shape[:2]) / 320
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.uint8)
