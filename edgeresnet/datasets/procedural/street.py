"""The layers of a street seen from its other side: sky, houses, pavement with road."""

import cv2
import numpy as np

from edgeresnet.datasets.procedural.brush import Pixels, hsv, near, shade
from edgeresnet.datasets.procedural.placing import over
from edgeresnet.datasets.procedural.textures import Plane, Rng, grain, noise, sky

HORIZON = 0.56  # of the picture's height: where the houses stand
KERB = 0.72  # where the pavement ends


def street(rng: Rng, width: int, height: int) -> Pixels:
    """All layers in one picture (height, width, 3)."""
    picture = sky(rng, width, height)
    over(picture, skyline(rng, width, height))
    ground = road(rng, width, height)
    picture[height - ground.shape[0] :] = ground
    return picture


def skyline(rng: Rng, width: int, height: int) -> Pixels:
    """House fronts with windows, shrubs, lamps (height, width, 4): BGRA premultiplied, no sky."""
    layer: Pixels = np.zeros((height, width, 4), np.uint8)
    foot = int(HORIZON * height) + 1
    left = -rng.uniform(0, 0.2) * height
    while left < width:
        wide = rng.uniform(0.28, 0.6) * height
        _front(layer, rng, int(left), int(left + wide), foot)
        left += wide + (rng.uniform(0.05, 0.3) * height if rng.random() < 0.25 else 0)
    for _ in range(int(3 * width / height)):
        _bush(layer, rng, rng.uniform(0, width), foot)
    for x in np.arange(rng.uniform(0, 0.8), width / height, 0.8) * height:
        _lamp(layer, float(x), foot)
    return layer


def _bush(layer: Pixels, rng: Rng, x: float, foot: int) -> None:
    """A round shrub on the pavement's far edge; no trunk, so no tree."""
    height = layer.shape[0]
    reach = rng.uniform(0.035, 0.075) * height
    green = hsv(rng.uniform(0.24, 0.38), rng.uniform(0.4, 0.7), rng.uniform(0.28, 0.5))
    for row, factor in enumerate((0.75, 0.92, 1.1)):
        for _ in range(6):
            middle = (
                int(x + rng.uniform(-1.5, 1.5) * reach),
                int(foot - (0.3 + 0.45 * row) * reach),
            )
            radius = int(reach * rng.uniform(0.5, 0.75) * (1 - 0.12 * row)) + 1
            cv2.circle(layer, middle, radius, (*shade(green, factor), 255.0), -1, cv2.LINE_AA)
    layer[foot:] = 0


def _lamp(layer: Pixels, x: float, foot: int) -> None:
    """A street lamp."""
    height = layer.shape[0]
    thick, top, arm = max(1, height // 90), foot - int(0.34 * height), 0.05 * height
    steel = (70.0, 66.0, 60.0, 255.0)
    post = [(x, foot), (x, top + arm), (x + 0.3 * arm, top), (x + arm, top)]
    cv2.polylines(layer, [np.rint(post).astype(np.int32)], False, steel, thick, cv2.LINE_AA)
    end = (int(x + arm), top)
    cv2.line(layer, end, (int(x + 1.6 * arm), top), (190.0, 225.0, 235.0, 255.0), 2 * thick)


def _front(layer: Pixels, rng: Rng, x0: int, x1: int, foot: int) -> None:
    """One house from x0 to x1, standing on row foot."""
    height = layer.shape[0]
    wall = hsv(rng.uniform(0.0, 0.16), rng.uniform(0.04, 0.42), rng.uniform(0.5, 0.88))
    floors = int(rng.integers(2, 6))
    floor = rng.uniform(0.085, 0.105) * height
    top = foot - floors * floor
    cv2.rectangle(layer, (x0, int(top)), (x1, foot), (*wall, 255.0), -1)
    roof = shade(wall, 0.55) if rng.random() < 0.5 else near((70.0, 75.0, 120.0), rng, 30)
    rise = floor * rng.uniform(0.15, 0.8)
    slope = rise * rng.uniform(0.3, 1.0)
    gable = [(x0 - 1, top), (x0 + slope, top - rise), (x1 - slope, top - rise), (x1 + 1, top)]
    cv2.fillPoly(layer, [np.rint(gable).astype(np.int32)], (*roof, 255.0), cv2.LINE_AA)
    columns = max(1, int((x1 - x0) / (0.8 * floor)))
    pitch = (x1 - x0) / columns
    glass, frame = hsv(0.57, 0.25, rng.uniform(0.3, 0.55)), shade(wall, 1.2)
    for storey in range(floors):
        for column in range(columns):
            x, y = x0 + (column + 0.5) * pitch, top + (storey + 0.52) * floor
            half, tall = 0.24 * pitch, 0.3 * floor
            lit = (120.0, 205.0, 235.0) if rng.random() < 0.12 else near(glass, rng, 12)
            corner, other = (int(x - half), int(y - tall)), (int(x + half), int(y + tall))
            cv2.rectangle(layer, corner, other, (*lit, 255.0), -1)
            if height > 240:
                cv2.rectangle(layer, corner, other, (*frame, 255.0), 2)
                cv2.line(layer, (int(x), corner[1]), (int(x), other[1]), (*frame, 255.0), 1)
    cv2.line(layer, (x0, int(top)), (x0, foot), (*shade(wall, 0.7), 255.0), 1 + height // 240)


def road(rng: Rng, width: int, height: int) -> Pixels:
    """Pavement slabs, kerb and road with lane marks: the lowest rows, (rows, width, 3)."""
    rows, kerb = height - int(HORIZON * height), int((KERB - HORIZON) * height)
    lane = _tarmac(rng, width, rows)
    slabs = rng.uniform(135, 190) + 25 * (noise(rng, width, kerb, 30, 3) - 0.45)
    slabs += 5 * grain(rng, width, kerb)
    x = np.arange(width)
    slabs[:, x % max(8, int(0.16 * height)) < 1 + height // 300] -= 35
    for seam in (0, kerb // 3, kerb * 2 // 3):
        slabs[seam : seam + 1 + height // 400] -= 30
    lane[:kerb] = slabs[..., None]
    edge = max(2, height // 60)
    lane[kerb : kerb + edge] = 190
    lane[kerb + edge : kerb + 2 * edge] *= 0.55
    y, dash = kerb + (rows - kerb) * 6 // 10, int(0.5 * height)
    marks = lane[y : y + max(2, height // 55)]
    marks[:, (x + int(rng.integers(dash))) % dash < dash * 0.55] = 212
    picture: Pixels = np.clip(lane, 0, 255).astype(np.uint8)
    return picture


def _tarmac(rng: Rng, width: int, rows: int) -> Plane:
    plane = rng.uniform(70, 105) + 34 * (noise(rng, width, rows, 70, 3) - 0.45)
    plane += 9 * grain(rng, width, rows)
    return np.repeat(plane[..., None], 3, 2)
