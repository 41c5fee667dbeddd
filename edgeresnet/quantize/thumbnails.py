"""Small pictures of what INT8 changed."""

from __future__ import annotations

import base64

import cv2
import numpy as np

from edgeresnet.core.errors import UsageError
from edgeresnet.core.pictures import read_picture
from edgeresnet.core.tensors import Pixels
from edgeresnet.quantize.flips import Box, BoxFlip, Flip

_SIDE, _SIDE_OF_BOXES = 160, 360
_SAME, _FLOAT, _INT8, _UNDER = (235, 235, 235), (30, 160, 245), (250, 170, 60), (25, 22, 20)
"""Blue, green, red: what both sides have, float's, INT8's, and what is under the lines."""


def thumbnail(flip: Flip) -> str:
    """A JPEG as base64, with a picture's changed boxes on it; empty where the file has gone."""
    try:
        pixels = read_picture(flip.path)
    except UsageError:
        return ""
    small = _small(pixels, _SIDE_OF_BOXES if isinstance(flip, BoxFlip) else _SIDE)
    if isinstance(flip, BoxFlip):
        _draw(small, flip, small.shape[1] / pixels.shape[1], small.shape[0] / pixels.shape[0])
    done, packed = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 80])
    return base64.b64encode(packed.tobytes()).decode("ascii") if done else ""


def _small(pixels: Pixels, side: int) -> Pixels:
    scale = side / max(pixels.shape[:2])
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, size, interpolation=way), np.uint8)


def _draw(canvas: Pixels, flip: BoxFlip, across: float, down: float) -> None:
    """What both have thin; what changed thick, with the number of its row in the table."""
    scale = np.array((across, down, across, down))
    for xyxy in flip.same * scale:
        _rectangle(canvas, xyxy, _SAME, 1)
    for number, change in reversed(list(enumerate(flip.changes, start=1))):
        sides: list[tuple[Box, tuple[int, int, int]]] = []
        if change.float is not None and change.kind != "new":
            sides.append((change.float, _FLOAT))
        if change.int8 is not None and change.kind != "lost":
            sides.append((change.int8, _INT8))
        for box, colour in sides:
            _rectangle(canvas, np.array(box.xyxy) * scale, colour, 2)
        box, colour = sides[0]
        _tag(canvas, str(number), np.array(box.xyxy) * scale, colour)


def _rectangle(canvas: Pixels, xyxy: np.ndarray, colour: tuple[int, int, int], px: int) -> None:
    highest = np.array((canvas.shape[1], canvas.shape[0]) * 2) - 1
    left, top, right, low = np.clip(xyxy.round(), 0, highest).astype(int).tolist()
    cv2.rectangle(canvas, (left, top), (right, low), _UNDER, px + 2)
    cv2.rectangle(canvas, (left, top), (right, low), colour, px)


def _tag(canvas: Pixels, text: str, xyxy: np.ndarray, colour: tuple[int, int, int]) -> None:
    """``text`` in the box's left top corner."""
    wide, high = 9 * len(text) + 6, 17
    left = int(np.clip(xyxy[0], 0, max(canvas.shape[1] - wide, 0)))
    top = int(np.clip(xyxy[1], 0, max(canvas.shape[0] - high, 0)))
    cv2.rectangle(canvas, (left, top), (left + wide, top + high), colour, cv2.FILLED)
    place = (left + 3, top + high - 4)
    cv2.putText(canvas, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, _UNDER, 1, cv2.LINE_AA)
