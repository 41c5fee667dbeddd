"""Stroke letters and digits for signs."""

from functools import cache

import numpy as np
from numpy.typing import ArrayLike

from edgeresnet.datasets.procedural.brush import Brush, Colour, Points

# Polylines "x,y x,y; x,y x,y" on a grid of 4 columns and 6 rows, y down.
GLYPHS: dict[str, str] = {
    "S": "4,0.8 3,0 1,0 0,0.9 0,2 1,2.8 3,3.2 4,4 4,5.1 3,6 1,6 0,5.2",
    "T": "0,0 4,0; 2,0 2,6",
    "O": "1,0 3,0 4,1 4,5 3,6 1,6 0,5 0,1 1,0",
    "P": "0,6 0,0 2.8,0 4,0.8 4,2.4 2.8,3.3 0,3.3",
    "!": "2,0 2,3.8; 2,5.8 2,6",
    "0": "1,0 3,0 4,1 4,5 3,6 1,6 0,5 0,1 1,0",
    "1": "0.8,1.4 2.4,0 2.4,6",
    "2": "0,1.2 1,0 3,0 4,1 4,2.2 0,6 4,6",
    "3": "0,0.7 1,0 3,0 4,1 4,2 3,2.8 1.6,2.8 3,2.8 4,3.8 4,5 3,6 1,6 0,5.2",
    "4": "3,6 3,0 0,4 4,4",
    "5": "4,0 0.4,0 0,2.8 3,2.5 4,3.5 4,5 3,6 1,6 0,5.2",
    "6": "3.6,0 1.6,1 0,3.4 0,5 1,6 3,6 4,5 4,3.8 3,2.8 1,2.8 0,3.6",
    "7": "0,0 4,0 1.5,6",
    "8": "1,2.8 0.2,2 0.2,0.8 1,0 3,0 3.8,0.8 3.8,2 3,2.8 1,2.8 0,3.8 0,5 1,6 3,6 4,5 4,3.8 3,2.8",
    "9": "0.4,6 2.4,5 4,2.6 4,1 3,0 1,0 0,1 0,2.2 1,3.2 3,3.2 4,2.4",
}
ADVANCE = 5.6


def write(
    brush: Brush, text: str, x: float, y: float, height: float, colour: Colour, bold: float = 1.0
) -> None:
    """Writes text centred on (x, y); height in units, strokes bold times a sixth of it."""
    unit = height / 6
    lines: list[ArrayLike] = []
    for place, letter in enumerate(text):
        left = (place - (len(text) - 1) / 2) * ADVANCE - 2
        lines += [np.add(line, (left, -3)) * unit + np.array((x, y)) for line in _strokes(letter)]
    brush.strokes(lines, bold * unit, colour)


@cache
def _strokes(letter: str) -> tuple[Points, ...]:
    return tuple(
        np.asarray([point.split(",") for point in line.split()], np.float32)
        for line in GLYPHS[letter].split(";")
    )
