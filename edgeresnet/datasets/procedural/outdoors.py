"""Things of street and garden, each drawn a little differently each time."""

import numpy as np

from edgeresnet.datasets.procedural.brush import (
    BLACK,
    WHITE,
    Brush,
    any_colour,
    arc,
    curve,
    hsv,
    near,
    rounded,
    shade,
)

Rng = np.random.Generator


def traffic_light(brush: Brush, rng: Rng) -> None:
    """Three lamps in a dark housing, one lit."""
    half = rng.uniform(0.32, 0.4)
    housing = near((52.0, 56.0, 50.0), rng, 24)
    if rng.random() < 0.5:
        brush.polygon(rounded(-half - 0.1, -0.97, half + 0.1, 0.97, 0.14), near(WHITE, rng, 40))
    brush.polygon(rounded(-half, -0.92, half, 0.92, 0.12), housing)
    lit = rng.integers(3)
    for place, hue in enumerate((0.0, 0.12, 0.39)):
        y = (place - 1) * 0.58
        value = 1.0 if place == lit else rng.uniform(0.2, 0.34)
        lamp = hsv(hue + rng.uniform(-0.02, 0.02), 0.85, value)
        brush.disc(0, y, 0.26, shade(housing, 0.5))
        brush.disc(0, y, 0.225, lamp)
        if place == lit:
            brush.disc(-0.05, y - 0.05, 0.1, shade(near(lamp, rng, 10), 1.8))
        brush.strokes([arc(0, y, 0.26, 0.26, 190, 350, 12)], 0.07, shade(housing, 0.6))


def traffic_cone(brush: Brush, rng: Rng) -> None:
    """Orange cone with white bands on a square foot."""
    orange = hsv(rng.uniform(0.02, 0.07), rng.uniform(0.8, 0.95), rng.uniform(0.8, 1.0))
    top, foot, base = rng.uniform(0.07, 0.13), rng.uniform(0.44, 0.6), 0.72
    brush.polygon(rounded(-0.8, base - 0.02, 0.8, 0.93, 0.07), shade(orange, 0.8))

    def band(y0: float, y1: float) -> list[tuple[float, float]]:
        a, b = (top + (foot - top) * (y + 0.95) / (base + 0.95) for y in (y0, y1))
        return [(-a, y0), (a, y0), (b, y1), (-b, y1)]

    brush.polygon(band(-0.95, base), orange)
    bands = ((-0.5, -0.15), (0.15, 0.45)) if rng.random() < 0.6 else ((-0.35, 0.15),)
    for y0, y1 in bands:
        brush.polygon(band(y0, y1), near(WHITE, rng, 10))


def car(brush: Brush, rng: Rng) -> None:
    """Car from the side, facing right."""
    paint = any_colour(rng, vivid=rng.random() < 0.7)
    glass = hsv(0.56, rng.uniform(0.15, 0.4), rng.uniform(0.45, 0.85))
    roof, back = rng.uniform(-0.56, -0.44), rng.uniform(-0.92, -0.6)
    front = rng.uniform(0.3, 0.5)
    cabin = [(back, -0.05), (back + 0.2, roof), (front - 0.28, roof), (front + 0.08, -0.05)]
    brush.polygon(
        np.concatenate(
            [
                curve(cabin[0], cabin[1], cabin[1], count=4),
                curve(cabin[2], cabin[2], cabin[3], count=4),
            ]
        ),
        paint,
    )
    body = np.concatenate(
        [
            curve((-0.97, 0.3), (-0.99, -0.12), (back, -0.08), count=8),
            curve((front, -0.08), (0.94, -0.02), (0.98, 0.3), count=8),
            [(0.95, 0.36), (-0.95, 0.36)],
        ]
    )
    brush.polygon(body, paint)
    middle = (back + front) / 2 - rng.uniform(0.0, 0.1)
    inset = roof + 0.08
    brush.polygon(
        [(back + 0.1, -0.06), (back + 0.24, inset), (middle - 0.03, inset), (middle - 0.03, -0.06)],
        glass,
    )
    brush.polygon(
        [
            (middle + 0.03, -0.06),
            (middle + 0.03, inset),
            (front - 0.3, inset),
            (front - 0.04, -0.06),
        ],
        glass,
    )
    brush.strokes([[(-0.93, 0.2), (0.94, 0.2)]], 0.03, shade(paint, 0.6))
    brush.disc(0.9, 0.1, 0.065, (170.0, 235.0, 250.0))
    brush.disc(-0.93, 0.1, 0.05, (40.0, 40.0, 200.0))
    for x in (-0.55, 0.57):
        brush.disc(x, 0.36, 0.23, BLACK)
        brush.disc(x, 0.36, 0.12, hsv(0, 0, rng.uniform(0.55, 0.8)))


def bicycle(brush: Brush, rng: Rng) -> None:
    """Bicycle from the side, facing right."""
    paint, dark = any_colour(rng), near((40.0, 40.0, 42.0), rng, 20)
    radius, y = rng.uniform(0.36, 0.42), 0.32
    back, front = np.asarray((-0.58, y)), np.asarray((0.58, y))
    for hub in (back, front):
        brush.ring(hub[0], hub[1], radius - 0.03, 0.085, dark)
        angles = np.radians(np.arange(0, 360, 60) + rng.uniform(0, 60))
        rays = np.stack([np.cos(angles), np.sin(angles)], 1) * (radius - 0.05)
        brush.strokes([[hub, hub + ray] for ray in rays], 0.016, (170.0, 170.0, 170.0))
    crank, seat, head = (-0.08, y + 0.02), (-0.26, -0.3), (0.4, -0.32)
    width = rng.uniform(0.075, 0.1)
    frame = [[back, crank, head, seat, back], [crank, (-0.3, -0.42)], [front, head, (0.36, -0.5)]]
    brush.strokes([np.asarray(line) for line in frame], width, paint)
    brush.strokes([[(-0.44, -0.46), (-0.18, -0.46)]], 0.11, dark)
    bar = (0.58, -0.5) if rng.random() < 0.5 else (0.22, -0.6)
    brush.strokes([[(0.36, -0.52), bar]], 0.08, dark)
    brush.ring(crank[0], crank[1], 0.1, 0.05, dark)


def house(brush: Brush, rng: Rng) -> None:
    """House with gable, door and windows."""
    wall = hsv(rng.uniform(0.02, 0.16), rng.uniform(0.05, 0.5), rng.uniform(0.65, 0.95))
    roof = hsv(rng.choice((0.01, 0.04, 0.6)), rng.uniform(0.3, 0.75), rng.uniform(0.3, 0.65))
    half, eaves = rng.uniform(0.66, 0.78), rng.uniform(-0.22, -0.05)
    if rng.random() < 0.6:
        x = float(rng.choice((-0.45, 0.35)))
        brush.polygon(
            [(x, -0.85), (x + 0.2, -0.85), (x + 0.2, eaves), (x, eaves)], shade(roof, 0.7)
        )
    brush.polygon([(-half, eaves - 0.02), (half, eaves - 0.02), (half, 0.95), (-half, 0.95)], wall)
    brush.polygon([(-0.97, eaves), (0, -0.96), (0.97, eaves)], roof)
    door_x = float(rng.choice((-0.4, 0.0, 0.36)))
    brush.polygon(
        [(door_x - 0.15, 0.4), (door_x + 0.15, 0.4), (door_x + 0.15, 0.95), (door_x - 0.15, 0.95)],
        any_colour(rng),
    )
    glass = hsv(rng.choice((0.14, 0.57)), rng.uniform(0.2, 0.5), rng.uniform(0.5, 1.0))
    frame = near(WHITE, rng, 10)
    for x, y in ((-0.42, 0.12), (0.42, 0.12), (-0.42, 0.66), (0.42, 0.66)):
        if y > 0.5 and abs(x - door_x) < 0.35:
            continue
        brush.polygon(
            [
                (x - 0.15, y - 0.14),
                (x + 0.15, y - 0.14),
                (x + 0.15, y + 0.14),
                (x - 0.15, y + 0.14),
            ],
            glass,
        )
        cross = [[(x, y - 0.14), (x, y + 0.14)], [(x - 0.15, y), (x + 0.15, y)]]
        brush.strokes([*cross, rounded(x - 0.15, y - 0.14, x + 0.15, y + 0.14, 0.01)], 0.035, frame)


def tree(brush: Brush, rng: Rng) -> None:
    """Conifer or broad-leaved tree."""
    bark = hsv(rng.uniform(0.04, 0.09), rng.uniform(0.4, 0.7), rng.uniform(0.25, 0.5))
    green = hsv(rng.uniform(0.22, 0.4), rng.uniform(0.4, 0.75), rng.uniform(0.3, 0.65))
    foot = rng.uniform(0.09, 0.15)
    brush.polygon(
        [(-foot * 0.7, 0), (foot * 0.7, 0), (foot * 1.3, 0.97), (-foot * 1.3, 0.97)], bark
    )
    if rng.random() < 0.45:
        tiers, wide = int(rng.integers(3, 5)), rng.uniform(0.5, 0.68)
        for n in range(tiers):
            top = 0.6 - (n + 1) * 1.5 / tiers
            reach = wide * (1 - 0.72 * n / tiers)
            bottom = top + 1.9 / tiers
            brush.polygon(
                [(-reach, bottom), (0, top), (reach, bottom)], shade(green, 0.8 + 0.12 * n)
            )
        return
    brush.strokes([[(0, 0.3), (-0.35, -0.1)], [(0, 0.3), (0.35, -0.15)]], 0.08, bark)
    count = int(rng.integers(7, 11))
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False) + rng.uniform(0, 1)
    for layer, (reach, factor) in enumerate(((0.42, 0.75), (0.26, 0.95), (0.1, 1.12))):
        for angle in angles:
            x = 1.15 * reach * np.cos(angle) - 0.05 * layer
            y = -0.34 + 0.8 * reach * np.sin(angle) - 0.07 * layer
            brush.disc(x, y, rng.uniform(0.2, 0.3) * (1 - 0.2 * layer), shade(green, factor))


def leaf(brush: Brush, rng: Rng) -> None:
    """Leaf with midrib and veins, summer or autumn."""
    colour = hsv(
        rng.choice((0.03, 0.09, 0.14, 0.25, 0.33)), rng.uniform(0.55, 0.9), rng.uniform(0.4, 0.85)
    )
    wide, full = rng.uniform(0.5, 0.95), rng.uniform(-0.3, 0.6)
    side = curve((0, -0.95), (wide, -0.4 + full * 0.3), (wide * 0.8, full), (0, 0.68), count=18)
    if rng.random() < 0.4:
        side[1:-1:2, 0] *= rng.uniform(0.8, 0.92)
    brush.strokes([[(0, 0.6), (rng.uniform(-0.15, 0.15), 0.96)]], 0.07, shade(colour, 0.6))
    brush.polygon(np.concatenate([side, side[::-1] * (-1, 1)]), colour)
    vein = shade(colour, rng.choice((0.62, 1.4)))
    brush.strokes([[(0, -0.8), (0, 0.7)]], 0.045, vein)
    lines = []
    for y in np.linspace(-0.45, 0.5, int(rng.integers(4, 7))):
        reach = 0.7 * float(np.interp(y - 0.2, side[:, 1], side[:, 0]))
        lines += [[(0, y), (reach, y - 0.2)], [(0, y), (-reach, y - 0.2)]]
    brush.strokes(lines, 0.025, vein)


def flower(brush: Brush, rng: Rng) -> None:
    """Flower from the front, sometimes on its stem."""
    colour = hsv(
        rng.choice((0.0, 0.12, 0.15, 0.75, 0.83, 0.92)),
        rng.uniform(0.2, 0.85),
        rng.uniform(0.75, 1.0),
    )
    petals, stem = int(rng.integers(5, 12)), rng.random() < 0.4
    size, y = (0.62, -0.34) if stem else (0.95, 0.0)
    if stem:
        green = hsv(rng.uniform(0.26, 0.36), 0.7, rng.uniform(0.35, 0.6))
        brush.strokes([curve((0, y), (0.1, 0.4), (0, 0.95))], 0.08, green)
        brush.polygon(curve((0.02, 0.7), (0.45, 0.45), (0.5, 0.2), (0.03, 0.55)), green)
    long, wide = size * 0.36, size * rng.uniform(1.5, 2.2) / petals
    petal = arc(size - long, 0, long, min(wide, 0.5 * size), 0, 360, 20)
    start = rng.uniform(0, 360)
    for n in range(petals):
        a = np.radians(start + 360 * n / petals)
        spin = np.asarray([(np.cos(a), np.sin(a)), (-np.sin(a), np.cos(a))])
        factor = 1.0 if n % 2 else 0.86
        brush.polygon(np.concatenate([[(0, 0)], petal]) @ spin + (0, y), shade(colour, factor))
    heart = hsv(rng.choice((0.07, 0.13)), 0.85, rng.uniform(0.35, 0.95))
    brush.disc(0, y, size * rng.uniform(0.22, 0.32), heart)
    brush.disc(-0.03, y - 0.03, size * 0.12, shade(heart, 1.25))


def mushroom(brush: Brush, rng: Rng) -> None:
    """Toadstool with dots or a plain brown cap."""
    stem = hsv(0.1, rng.uniform(0.05, 0.25), rng.uniform(0.75, 0.95))
    foot = rng.uniform(0.2, 0.3)
    side = curve((0.16, -0.1), (0.14, 0.4), (foot, 0.95), count=8)
    brush.polygon(np.concatenate([side, side[::-1] * (-1, 1)]), stem)
    dotted = rng.random() < 0.6
    cap = hsv(0.0 if dotted else 0.07, rng.uniform(0.6, 0.9), rng.uniform(0.4, 0.85))
    low = rng.uniform(-0.05, 0.12)
    brush.polygon(arc(0, low, 0.95, rng.uniform(0.08, 0.16), 0, 180, 16), shade(stem, 0.8))
    brush.polygon(arc(0, low, 0.96, low + rng.uniform(0.75, 0.95), 180, 360, 28), cap)
    if dotted:
        for x, y in ((0.0, -0.5), (-0.45, -0.25), (0.42, -0.28), (-0.12, -0.14), (0.7, -0.06)):
            jitter = rng.uniform(-0.06, 0.06, 2)
            brush.disc(x + jitter[0], y + jitter[1], rng.uniform(0.07, 0.13), WHITE)
