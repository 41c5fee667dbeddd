"""Anti-aliased vector drawing in unit coordinates on a canvas that carries its coverage."""

import colorsys
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

Pixels = NDArray[np.uint8]
Points = NDArray[np.float32]
Colour = tuple[float, float, float]  # BGR, 0 to 255

WHITE: Colour = (245.0, 245.0, 245.0)
BLACK: Colour = (22.0, 20.0, 20.0)
FIXED_POINT_BITS = 4
MARGIN = 0.94  # of the half side that unit 1 reaches, so that edges keep their antialiasing


def hsv(hue: float, saturation: float, value: float) -> Colour:
    """BGR of a hue in turns (0 red, 1/3 green, 2/3 blue), saturation and value from 0 to 1."""
    r, g, b = colorsys.hsv_to_rgb(hue % 1.0, saturation, value)
    return 255.0 * b, 255.0 * g, 255.0 * r


def any_colour(rng: np.random.Generator, vivid: bool = True) -> Colour:
    """A colour of any hue, vivid as paint or dull as concrete."""
    saturation = rng.uniform(0.45, 0.9) if vivid else rng.uniform(0.0, 0.35)
    return hsv(rng.random(), saturation, rng.uniform(0.45, 0.95))


def near(colour: Colour, rng: np.random.Generator, spread: float = 14.0) -> Colour:
    """The colour, each channel moved by up to spread."""
    b, g, r = np.clip(np.asarray(colour) + rng.uniform(-spread, spread, 3), 0, 255)
    return float(b), float(g), float(r)


def shade(colour: Colour, factor: float) -> Colour:
    """The colour made darker (below 1) or lighter (above 1)."""
    b, g, r = (min(255.0, channel * factor) for channel in colour)
    return b, g, r


def regular(corners: int, radius: float = 1.0, turn: float = 0.0) -> Points:
    """Corners (n, 2) of a regular polygon about the origin; turn in degrees, 0: a corner right."""
    return arc(0, 0, radius, radius, turn, turn + 360, corners + 1)[:-1]


def arc(
    x: float, y: float, rx: float, ry: float, start: float, stop: float, count: int = 24
) -> Points:
    """Points (count, 2) along an ellipse's arc, angles in degrees, clockwise (y is down)."""
    angle = np.linspace(np.radians(start), np.radians(stop), count)
    return np.stack([x + rx * np.cos(angle), y + ry * np.sin(angle)], 1).astype(np.float32)


def curve(*control: tuple[float, float], count: int = 12) -> Points:
    """Points (count, 2) along the Bezier curve of these control points."""
    points = np.repeat(np.asarray(control, np.float32)[None], count, 0)
    t = np.linspace(0, 1, count, dtype=np.float32)[:, None, None]
    while points.shape[1] > 1:
        points = points[:, :-1] * (1 - t) + points[:, 1:] * t
    return points[:, 0]


def rounded(x0: float, y0: float, x1: float, y1: float, radius: float) -> Points:
    """Outline (24, 2) of a rectangle with rounded corners."""
    corners = ((x1, y1, 0), (x0, y1, 90), (x0, y0, 180), (x1, y0, 270))
    return np.concatenate(
        [
            arc(
                x - radius * (1 if x == x1 else -1),
                y - radius * (1 if y == y1 else -1),
                radius,
                radius,
                start,
                start + 90,
                6,
            )
            for x, y, start in corners
        ]
    )


class Brush:
    """A square canvas, BGRA with colour premultiplied by alpha, on which -1 to 1 is visible.

    Antialiased edges are blended towards the transparent black that the canvas starts as, in all
    four channels alike, which is what premultiplied compositing asks for.
    """

    def __init__(self, size: int) -> None:
        self.canvas: Pixels = np.zeros((size, size, 4), np.uint8)
        self._half = size / 2

    def polygon(self, points: ArrayLike, colour: Colour) -> None:
        """Fills one outline (n, 2)."""
        self.polygons([points], colour)

    def polygons(self, outlines: Sequence[ArrayLike], colour: Colour) -> None:
        """Fills outlines that do not overlap each other."""
        fixed = [self._fixed(outline) for outline in outlines]
        cv2.fillPoly(self.canvas, fixed, (*colour, 255.0), cv2.LINE_AA, FIXED_POINT_BITS)

    def disc(self, x: float, y: float, radius: float, colour: Colour) -> None:
        """Fills a circle."""
        corners = (14 + 26 * min(radius, 1.0)) * max(1.0, self._half / 110)
        self.polygon(arc(x, y, radius, radius, 0, 360, int(corners)), colour)

    def ring(self, x: float, y: float, radius: float, width: float, colour: Colour) -> None:
        """Strokes a circle; radius to the middle of the stroke."""
        self.strokes([arc(x, y, radius, radius, 0, 360, 36)], width, colour)

    def strokes(self, lines: Sequence[ArrayLike], width: float, colour: Colour) -> None:
        """Strokes open polylines (n, 2) with round ends."""
        fixed = [self._fixed(line) for line in lines]
        pixels = max(1, round(width * self._half * MARGIN))
        cv2.polylines(
            self.canvas, fixed, False, (*colour, 255.0), pixels, cv2.LINE_AA, FIXED_POINT_BITS
        )

    def erase(self, points: ArrayLike) -> None:
        """Makes the inside of an outline transparent."""
        cv2.fillPoly(
            self.canvas, [self._fixed(points)], (0.0, 0.0, 0.0, 0.0), cv2.LINE_AA, FIXED_POINT_BITS
        )

    def _fixed(self, points: ArrayLike) -> NDArray[np.int32]:
        pixels = np.asarray(points, np.float32) * (self._half * MARGIN) + (self._half - 0.5)
        fixed: NDArray[np.int32] = np.rint(pixels * (1 << FIXED_POINT_BITS)).astype(np.int32)
        return fixed
