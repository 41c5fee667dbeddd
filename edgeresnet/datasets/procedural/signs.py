"""Traffic signs, each drawn a little differently each time."""

import numpy as np

from edgeresnet.datasets.procedural.brush import (
    BLACK,
    WHITE,
    Brush,
    Colour,
    Points,
    arc,
    near,
    regular,
    rounded,
)
from edgeresnet.datasets.procedural.lettering import write

Rng = np.random.Generator

RED: Colour = (38.0, 30.0, 196.0)
BLUE: Colour = (165.0, 82.0, 22.0)
YELLOW: Colour = (40.0, 196.0, 245.0)
LIMITS = ("20", "30", "40", "50", "60", "70", "80", "90", "100", "120", "130")


def stop_sign(brush: Brush, rng: Rng) -> None:
    """Red octagon, STOP."""
    red = near(RED, rng, 22)
    brush.polygon(regular(8, 1.0, 22.5), near(WHITE, rng, 8))
    brush.polygon(regular(8, rng.uniform(0.88, 0.93), 22.5), red)
    write(brush, "STOP", 0, 0, rng.uniform(0.42, 0.54), WHITE, rng.uniform(0.9, 1.3))


def yield_sign(brush: Brush, rng: Rng) -> None:
    """White triangle on its point, red border."""
    inner = rng.uniform(0.5, 0.68)
    brush.polygon(_triangle(1.0, 0.1, point_down=True), near(RED, rng, 22))
    brush.polygon(_triangle(inner, 0.05, point_down=True), near(WHITE, rng, 10))


def no_entry_sign(brush: Brush, rng: Rng) -> None:
    """Red disc, white bar."""
    white = near(WHITE, rng, 8)
    brush.disc(0, 0, 0.97, white)
    brush.disc(0, 0, rng.uniform(0.9, 0.97), near(RED, rng, 22))
    half = rng.uniform(0.13, 0.19)
    reach = rng.uniform(0.62, 0.74)
    brush.polygon(rounded(-reach, -half, reach, half, rng.uniform(0.01, 0.1)), white)


def speed_limit_sign(brush: Brush, rng: Rng) -> None:
    """White disc, red rim, a number."""
    width = rng.uniform(0.16, 0.26)
    brush.disc(0, 0, 0.97, near(RED, rng, 22))
    brush.disc(0, 0, 0.97 - width, near(WHITE, rng, 10))
    text = LIMITS[rng.integers(len(LIMITS))]
    height = rng.uniform(0.66, 0.8) if len(text) == 2 else rng.uniform(0.5, 0.58)
    write(brush, text, 0, 0, height, near(BLACK, rng, 18), rng.uniform(0.85, 1.2))


def parking_sign(brush: Brush, rng: Rng) -> None:
    """Blue square, P."""
    blue, white = near(BLUE, rng, 22), near(WHITE, rng, 8)
    tall = rng.uniform(0.86, 0.95)
    brush.polygon(rounded(-0.86, -tall, 0.86, tall, 0.16), white)
    brush.polygon(rounded(-0.8, -tall + 0.06, 0.8, tall - 0.06, 0.12), blue)
    write(brush, "P", 0.04, 0, rng.uniform(1.0, 1.25), white, rng.uniform(1.0, 1.4))


def warning_sign(brush: Brush, rng: Rng) -> None:
    """Triangle on its base, exclamation mark."""
    black = near(BLACK, rng, 15)
    if rng.random() < 0.6:
        border, field = near(RED, rng, 22), near(WHITE, rng, 10)
    else:
        border, field = black, near(YELLOW, rng, 20)
    brush.polygon(_triangle(1.0, 0.1), border)
    brush.polygon(_triangle(rng.uniform(0.66, 0.76), 0.06), field)
    write(brush, "!", 0, 0.2, rng.uniform(0.52, 0.62), black, rng.uniform(1.5, 2.0))


def crossing_sign(brush: Brush, rng: Rng) -> None:
    """Blue square, white triangle, someone walking over stripes."""
    white, black = near(WHITE, rng, 8), near(BLACK, rng, 15)
    brush.polygon(rounded(-0.93, -0.93, 0.93, 0.93, 0.12), white)
    brush.polygon(rounded(-0.87, -0.87, 0.87, 0.87, 0.09), near(BLUE, rng, 22))
    brush.polygon(_triangle(0.86, 0.03) * (0.96, 1) + (0, 0.04), white)
    step = rng.uniform(0.14, 0.2)
    side = 1.0 if rng.random() < 0.5 else -1.0
    walker = [
        [(0, -0.16), (0.02, 0.14), (step, 0.32), (step + 0.02, 0.52)],
        [(0.02, 0.14), (-0.06, 0.34), (-step, 0.5)],
        [(0, -0.12), (step, 0.02), (step + 0.08, 0.1)],
        [(0, -0.12), (-step, 0.06)],
    ]
    brush.strokes([np.asarray(line) * (side, 1) for line in walker], 0.1, black)
    brush.disc(0.03 * side, -0.3, 0.09, black)
    stripes = [[(x - 0.04, 0.68), (x + 0.05, 0.58)] for x in (-0.45, -0.2, 0.05, 0.3, 0.5)]
    brush.strokes(stripes, 0.07, black)


def one_way_sign(brush: Brush, rng: Rng) -> None:
    """Arrow on a blue or black plate, to any side but down."""
    white = near(WHITE, rng, 8)
    plate = near(BLUE if rng.random() < 0.7 else BLACK, rng, 20)
    tall = float(rng.choice((0.42, 0.52, 0.86)))
    brush.polygon(rounded(-0.95, -tall, 0.95, tall, 0.1), white)
    brush.polygon(rounded(-0.9, -tall + 0.05, 0.9, tall - 0.05, 0.07), plate)
    half, head = rng.uniform(0.1, 0.15), min(tall - 0.12, rng.uniform(0.34, 0.44))
    neck = rng.uniform(0.12, 0.25)
    arrow = [(-0.7, -half), (neck, -half), (neck, -head), (0.74, 0)]
    outline = np.asarray(arrow + [(x, -y) for x, y in arrow[-2::-1]])
    turns = (0, 180, 270) if tall > 0.8 else (0, 180)
    angle = np.radians(float(rng.choice(turns)))
    spin = np.asarray([(np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle))])
    brush.polygon(outline @ spin, white)


def _triangle(radius: float, corner: float, point_down: bool = False) -> Points:
    """Outline of a triangle with rounded corners, its middle at (0, 0.25), down: (0, -0.25)."""
    reach = 1.12 * radius - corner
    outline = [
        arc(
            reach * np.cos(np.radians(a)),
            reach * np.sin(np.radians(a)),
            corner,
            corner,
            a - 60,
            a + 60,
            6,
        )
        for a in (30, 150, 270)
    ]
    points = np.concatenate(outline) + np.asarray((0, 0.25), np.float32)
    return points * np.asarray((1, -1), np.float32) if point_down else points
