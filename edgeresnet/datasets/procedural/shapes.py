"""The classes: what each is called, who draws it and how it may be turned."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from edgeresnet.datasets.procedural import outdoors, signs, things
from edgeresnet.datasets.procedural.brush import Brush, Pixels


@dataclass(frozen=True)
class Shape:
    """One class.

    draw: draws it upright, filling -1 to 1.
    turn: largest rotation to either side, degrees.
    mirror: whether its mirror image is of the same class and as likely.
    sign: whether it may stand on a pole.
    """

    name: str
    draw: Callable[[Brush, np.random.Generator], None]
    turn: float = 18.0
    mirror: bool = True
    sign: bool = False


SHAPES: tuple[Shape, ...] = (
    Shape("stop sign", signs.stop_sign, mirror=False, sign=True),
    Shape("yield sign", signs.yield_sign, mirror=False, sign=True),
    Shape("no entry sign", signs.no_entry_sign, mirror=False, sign=True),
    Shape("speed limit sign", signs.speed_limit_sign, mirror=False, sign=True),
    Shape("parking sign", signs.parking_sign, mirror=False, sign=True),
    Shape("warning sign", signs.warning_sign, mirror=False, sign=True),
    Shape("crossing sign", signs.crossing_sign, mirror=False, sign=True),
    Shape("one way sign", signs.one_way_sign, mirror=False, sign=True),
    Shape("traffic light", outdoors.traffic_light, sign=True),
    Shape("traffic cone", outdoors.traffic_cone),
    Shape("car", outdoors.car),
    Shape("bicycle", outdoors.bicycle),
    Shape("house", outdoors.house),
    Shape("tree", outdoors.tree),
    Shape("leaf", outdoors.leaf, turn=180.0),
    Shape("flower", outdoors.flower),
    Shape("mushroom", outdoors.mushroom),
    Shape("ball", things.ball, turn=180.0),
    Shape("cup", things.cup),
    Shape("bottle", things.bottle, turn=30.0),
    Shape("clock", things.clock),
    Shape("key", things.key, turn=180.0),
    Shape("umbrella", things.umbrella, turn=30.0),
    Shape("fish", things.fish, turn=35.0),
)

CLASSES: tuple[str, ...] = tuple(shape.name for shape in SHAPES)


def draw_sprite(
    class_index: int, size: int, rng: np.random.Generator, mirrored: bool | None = None
) -> Pixels:
    """One thing of the class, lit from a random side: (size, size, 4) BGRA, premultiplied.

    mirrored: as drawn or mirrored (where the class allows); None leaves it to chance.
    """
    shape = SHAPES[class_index]
    brush = Brush(size)
    shape.draw(brush, rng)
    sprite = brush.canvas
    if shape.mirror and (rng.random() < 0.5 if mirrored is None else mirrored):
        sprite = np.ascontiguousarray(sprite[:, ::-1])
    ramp = np.linspace(-1.0, 1.0, size, dtype=np.float32)
    slope_x, slope_y = rng.uniform(-0.16, 0.16), rng.uniform(-0.22, 0.06)
    light = 0.97 + slope_x * ramp[None, :] + slope_y * ramp[:, None]
    lit = cv2.multiply(
        sprite, cv2.merge([light, light, light, np.ones_like(light)]), dtype=cv2.CV_8U
    )
    return np.minimum(lit, sprite[..., 3:])
