"""Everyday things, each drawn a little differently each time."""

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
    regular,
    rounded,
    shade,
)

Rng = np.random.Generator


def ball(brush: Brush, rng: Rng) -> None:
    """Beach ball, football, basketball or tennis ball."""
    kind = rng.integers(4)
    if kind == 0:
        hues, turn = rng.random(3), rng.uniform(0, 360)
        x, y = rng.uniform(-0.35, 0.35, 2)
        brush.disc(0, 0, 0.96, WHITE)
        for place in range(6):
            edge = arc(0, 0, 0.96, 0.96, turn + 60 * place, turn + 60 * place + 60, 10)
            colour = WHITE if place % 2 else hsv(hues[place // 2], 0.85, 0.9)
            brush.polygon(np.concatenate([[(x, y)], edge]), colour)
        brush.disc(x, y, 0.12, WHITE)
    elif kind == 1:
        dark, turn = near(BLACK, rng, 12), rng.uniform(0, 72)
        brush.disc(0, 0, 0.96, near(WHITE, rng, 10))
        spokes = regular(5, 1.0, turn)
        brush.strokes([[spoke * 0.3, spoke * 0.72] for spoke in spokes], 0.05, dark)
        brush.polygon(spokes * 0.34, dark)
        for n in range(5):
            a = turn + 72 * n
            rim = arc(0, 0, 0.96, 0.96, a - 15, a + 15, 6)
            brush.polygon(np.concatenate([rim, spokes[n : n + 1] * 0.66]), dark)
            side = arc(0, 0, 0.74, 0.74, a + 36, a + 37, 2)[:1]
            brush.strokes([np.concatenate([spokes[n : n + 1] * 0.7, side])], 0.04, dark)
            brush.strokes([np.concatenate([side, spokes[(n + 1) % 5][None] * 0.7])], 0.04, dark)
    elif kind == 2:
        orange, dark = (
            hsv(rng.uniform(0.04, 0.08), 0.85, rng.uniform(0.7, 0.9)),
            near(BLACK, rng, 12),
        )
        brush.disc(0, 0, 0.96, orange)
        lines = [np.asarray(line) for line in ([(-0.95, 0), (0.95, 0)], [(0, -0.95), (0, 0.95)])]
        x, y = (0.95 * float(f(rng.uniform(0.6, 0.9))) for f in (np.cos, np.sin))
        seam = curve((x, -y), (rng.uniform(-0.15, 0.1), 0), (x, y))
        brush.strokes([*lines, seam, seam * (-1, 1)], 0.06, dark)
        brush.ring(0, 0, 0.93, 0.06, dark)
    else:
        brush.disc(0, 0, 0.96, hsv(rng.uniform(0.17, 0.22), rng.uniform(0.6, 0.9), 0.9))
        seam = curve((-0.9, -0.3), (-0.2, -0.3), (-0.2, 0.9), count=16)
        brush.strokes([seam, -seam], 0.08, WHITE)


def cup(brush: Brush, rng: Rng) -> None:
    """Mug or teacup with a handle, seen from slightly above."""
    colour = any_colour(rng) if rng.random() < 0.7 else near(WHITE, rng, 12)
    top, foot, tall = rng.uniform(0.56, 0.66), rng.uniform(0.36, 0.6), rng.uniform(0.62, 0.85)
    rim = rng.uniform(0.1, 0.18)
    brush.strokes(
        [arc(top - 0.18, 0.02, rng.uniform(0.36, 0.46), rng.uniform(0.3, 0.42), -75, 80)],
        rng.uniform(0.1, 0.16),
        shade(colour, 0.85),
    )
    left = -0.2
    body = np.concatenate(
        [
            [(left - top, -tall)],
            curve((left - foot, tall - 0.1), (left - foot, tall + 0.08), (left, tall + 0.1)),
            curve((left, tall + 0.1), (left + foot, tall + 0.08), (left + foot, tall - 0.1)),
            [(left + top, -tall)],
        ]
    )
    brush.polygon(body, colour)
    if rng.random() < 0.5:
        y = rng.uniform(-0.3, 0.3)
        half = (top + foot) / 2 - 0.02
        stripe = any_colour(rng)
        brush.strokes([curve((left - half, y), (left, y + 0.2), (left + half, y))], 0.14, stripe)
    brush.polygon(arc(left, -tall, top, rim, 0, 360, 30), shade(colour, 1.15))
    drink = hsv(rng.uniform(0.04, 0.1), 0.7, rng.uniform(0.2, 0.5))
    brush.polygon(arc(left, -tall + 0.02, top - 0.08, rim - 0.04, 0, 360, 30), drink)


def bottle(brush: Brush, rng: Rng) -> None:
    """Bottle with cap and mostly a label."""
    colour = hsv(
        rng.choice((0.08, 0.3, 0.38, 0.55, 0.6)), rng.uniform(0.3, 0.8), rng.uniform(0.35, 0.8)
    )
    half, neck = rng.uniform(0.3, 0.4), rng.uniform(0.1, 0.16)
    shoulder = rng.uniform(-0.4, -0.1)
    side = np.concatenate(
        [
            [(neck, -0.85)],
            curve(
                (neck, shoulder - 0.25), (neck, shoulder), (half, shoulder), (half, shoulder + 0.25)
            ),
            curve((half, 0.85), (half, 0.97), (half - 0.12, 0.97), count=6),
        ]
    )
    brush.polygon(np.concatenate([side, side[::-1] * (-1, 1)]), colour)
    brush.strokes([[(-half + 0.1, shoulder + 0.3), (-half + 0.1, 0.8)]], 0.06, shade(colour, 1.5))
    brush.polygon(rounded(-neck - 0.03, -0.98, neck + 0.03, -0.78, 0.03), any_colour(rng))
    if rng.random() < 0.8:
        label = near(WHITE, rng, 20) if rng.random() < 0.5 else any_colour(rng)
        y0, y1 = rng.uniform(0.1, 0.25), rng.uniform(0.5, 0.75)
        brush.polygon([(-half, y0), (half, y0), (half, y1), (-half, y1)], label)
        y = (y0 + y1) / 2
        brush.strokes([[(-half * 0.6, y), (half * 0.6, y)]], 0.07, shade(label, 0.4))


def clock(brush: Brush, rng: Rng) -> None:
    """Wall clock or alarm clock."""
    rim = any_colour(rng, vivid=rng.random() < 0.6)
    face, hands = near(WHITE, rng, 14), near(BLACK, rng, 15)
    radius = 0.96
    if rng.random() < 0.35:
        radius = 0.8
        for side in (-1, 1):
            brush.disc(side * 0.5, -0.72, 0.24, shade(rim, 0.7))
            brush.strokes([[(side * 0.4, 0.6), (side * 0.62, 0.92)]], 0.12, shade(rim, 0.7))
    brush.disc(0, 0, radius, rim)
    inner = radius * rng.uniform(0.8, 0.9)
    brush.disc(0, 0, inner, face)
    ticks = regular(12) * inner
    brush.strokes([[tick * 0.84, tick * 0.93] for tick in ticks], 0.05, hands)
    for reach, width in ((rng.uniform(0.4, 0.55), 0.09), (rng.uniform(0.65, 0.8), 0.06)):
        angle = rng.uniform(0, 2 * np.pi)
        tip = reach * inner * np.asarray((np.cos(angle), np.sin(angle)))
        brush.strokes([np.stack([np.zeros(2), tip])], width, hands)
    brush.disc(0, 0, 0.07, hands)


def key(brush: Brush, rng: Rng) -> None:
    """Key with a round, square or three-leaved bow."""
    metal = hsv(rng.uniform(0.1, 0.15), rng.choice((0.05, 0.65)), rng.uniform(0.5, 0.9))
    kind, bow = rng.integers(3), rng.uniform(0.34, 0.42)
    x = -0.56
    if kind == 0:
        brush.disc(x, 0, bow, metal)
    elif kind == 1:
        brush.polygon(rounded(x - bow, -bow, x + bow, bow, 0.12), metal)
    else:
        for cx, cy in ((x - 0.16, 0.0), (x + 0.06, -0.2), (x + 0.06, 0.2)):
            brush.disc(cx, cy, bow * 0.7, metal)
    brush.erase(arc(x - 0.06, 0, bow * 0.42, bow * 0.42, 0, 360, 20))
    half = rng.uniform(0.07, 0.11)
    brush.polygon(
        [(x + bow - 0.1, -half), (0.96, -half), (0.96, half), (x + bow - 0.1, half)], metal
    )
    edge = 0.96
    for _ in range(rng.integers(2, 5)):
        wide, deep = rng.uniform(0.08, 0.14), rng.uniform(0.14, 0.34)
        brush.polygon(
            [(edge - wide, 0), (edge, 0), (edge, half + deep), (edge - wide, half + deep)], metal
        )
        edge -= wide + rng.uniform(0.05, 0.1)
    brush.strokes([[(x + bow, -half * 0.2), (0.9, -half * 0.2)]], 0.03, shade(metal, 0.6))


def umbrella(brush: Brush, rng: Rng) -> None:
    """Open umbrella with a hooked handle."""
    first = any_colour(rng)
    second = any_colour(rng) if rng.random() < 0.6 else shade(first, 0.75)
    dark = near((50.0, 50.0, 60.0), rng, 25)
    hook = arc(-0.13, 0.78, 0.13, 0.14, 0, 180, 10)
    brush.strokes([np.concatenate([[(0, -0.9)], [(0, 0.7)], hook])], 0.07, dark)
    panels = int(rng.integers(4, 7))
    edges = np.linspace(-0.97, 0.97, panels + 1)
    high, base = rng.uniform(0.75, 0.88), 0.05
    for n in range(panels):
        a, b = float(edges[n]), float(edges[n + 1])
        outline = np.concatenate(
            [
                curve((0, -high), (a * 0.95, -high * 0.95), (a, base)),
                curve((a, base), ((a + b) / 2, base - 0.2), (b, base), count=6),
                curve((b, base), (b * 0.95, -high * 0.95), (0, -high)),
            ]
        )
        brush.polygon(outline, second if n % 2 else first)


def fish(brush: Brush, rng: Rng) -> None:
    """Fish from the side, facing right."""
    colour, accent = any_colour(rng), any_colour(rng)
    tall = rng.uniform(0.36, 0.56)
    tail = rng.uniform(0.3, 0.5)
    brush.polygon([(-0.5, 0), (-0.97, -tail), (-0.84, 0), (-0.97, tail)], accent)
    brush.polygon(curve((-0.3, -tall * 0.5), (-0.1, -tall - 0.5), (0.35, -tall * 0.6)), accent)
    brush.polygon(curve((-0.1, tall * 0.5), (-0.15, tall + 0.4), (0.25, tall * 0.6)), accent)
    upper = curve((0.97, 0), (0.6, -tall * 1.3), (-0.2, -tall * 1.3), (-0.65, 0), count=16)
    brush.polygon(np.concatenate([upper, upper[::-1] * (1, -1)]), colour)
    for n in range(rng.integers(0, 4)):
        x, reach = 0.25 - 0.28 * n, tall * (0.75 - 0.14 * n)
        brush.strokes([curve((x, -reach), (x - 0.14, 0), (x, reach), count=8)], 0.09, accent)
    brush.disc(0.62, -tall * 0.22, 0.1, WHITE)
    brush.disc(0.64, -tall * 0.22, 0.055, BLACK)
    brush.strokes(
        [curve((0.94, 0.06), (0.85, 0.14), (0.76, 0.12), count=6)], 0.04, shade(colour, 0.5)
    )
    brush.polygon([(0.15, 0.05), (-0.15, tall * 0.2), (-0.12, tall * 0.55)], shade(accent, 0.85))
