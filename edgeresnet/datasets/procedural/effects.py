"""What light, lens, sensor and file do to a picture."""

import cv2
import numpy as np

from edgeresnet.datasets.procedural.brush import Pixels, any_colour
from edgeresnet.datasets.procedural.textures import Rng, grain, saturated


def light(rng: Rng, picture: Pixels) -> Pixels:
    """Exposure, colour cast, a fall-off to one side and, at times, haze."""
    height, width = picture.shape[:2]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    slope_x, slope_y = rng.uniform(-0.28, 0.28, 2).astype(np.float32)
    field = np.float32(np.exp(rng.normal(0, 0.28))) * (1 + slope_x * x + slope_y * y)
    cast = rng.normal(1, 0.07, 3).astype(np.float32)
    haze = float(rng.uniform(0.15, 0.65)) if rng.random() < 0.3 else 0.0
    veil = rng.uniform(60, 215)
    gain = cv2.merge([field * channel * np.float32(1 - haze) for channel in cast])
    lit = cv2.multiply(picture, gain, dtype=cv2.CV_32F)
    return np.asarray(cv2.convertScaleAbs(lit, beta=veil * haze), np.uint8)


def blur(rng: Rng, picture: Pixels) -> Pixels:
    """Out of focus or moved, in one case of two."""
    side, kind = min(picture.shape[:2]), rng.random()
    if kind < 0.38:
        sigma = rng.uniform(0.4, 2.4) * side / 160
        return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.uint8)
    if kind < 0.52:
        length = max(2.0, rng.uniform(3, 9) * side / 160)
        reach = int(np.ceil(length / 2))
        kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
        angle = rng.uniform(0, np.pi)
        step = np.asarray((np.cos(angle), np.sin(angle))) * length / 2
        start, stop = np.rint(reach - step).astype(int), np.rint(reach + step).astype(int)
        cv2.line(kernel, start.tolist(), stop.tolist(), 1.0, 1)
        return np.asarray(cv2.filter2D(picture, -1, kernel / kernel.sum()), np.uint8)
    return picture


def sensor_noise(rng: Rng, picture: Pixels) -> Pixels:
    """Luminance noise with a little colour in it; standard deviation up to 27 of 255."""
    height, width = picture.shape[:2]
    deviation = rng.uniform(1, 9) if rng.random() < 0.65 else rng.uniform(9, 27)
    plane = grain(rng, width, height) * np.float32(deviation)
    tint = rng.uniform(0.7, 1.1, 3).astype(np.float32)
    noise = cv2.merge([plane * channel for channel in tint])
    return saturated(cv2.add(picture, noise, dtype=cv2.CV_32F))


def jpeg(rng: Rng, picture: Pixels) -> Pixels:
    """Compressed and read back, in three cases of four."""
    if rng.random() > 0.75:
        return picture
    return recompress(picture, int(rng.integers(15, 96)))


def recompress(picture: Pixels, quality: int) -> Pixels:
    """The picture after JPEG compression; quality 1 to 100."""
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def cover(rng: Rng, picture: Pixels, x: float, y: float, side: float) -> None:
    """Hides part of what lies at (x, y) behind a twig, a patch or a bar, in place."""
    colour = any_colour(rng, vivid=bool(rng.random() < 0.4))
    angle = rng.uniform(0, 2 * np.pi)
    off = np.asarray((np.cos(angle), np.sin(angle))) * side * rng.uniform(0.15, 0.42)
    middle = np.asarray((x, y)) + off
    kind = rng.integers(3)
    if kind == 0:
        corners = middle + rng.uniform(-0.22, 0.22, (5, 2)) * side
        cv2.fillConvexPoly(picture, cv2.convexHull(corners.astype(np.int32)), colour, cv2.LINE_AA)
    elif kind == 1:
        along = np.asarray((-off[1], off[0])) / max(1e-6, float(np.hypot(*off))) * side
        ends = np.rint([middle - along, middle + along]).astype(int).tolist()
        thick = max(2, int(side * rng.uniform(0.04, 0.13)))
        cv2.line(picture, ends[0], ends[1], colour, thick, cv2.LINE_AA)
    else:
        for _ in range(4):
            line = middle + np.cumsum(rng.normal(0, 0.16 * side, (4, 2)), 0)
            thick = max(1, int(side * rng.uniform(0.015, 0.05)))
            cv2.polylines(picture, [line.astype(np.int32)], False, colour, thick, cv2.LINE_AA)
