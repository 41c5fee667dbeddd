"""A prediction drawn over its picture, in whatever size the picture has."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from edgeresnet.core.boxes import iou_matrix
from edgeresnet.core.frames import Region
from edgeresnet.core.predictions import NOT_TRACKED, Classification, Detections, Label, Prediction
from edgeresnet.core.tensors import Pixels

Colour: TypeAlias = tuple[int, int, int]
"""Blue, green, red."""

_ROWS = 5  # labels shown, at most
_BRIGHT, _FAINT, _INK = (255, 255, 255), (205, 205, 205), (20, 20, 20)
_TAG_PAD = 0.4  # of the height of the text
_GLASS, _TRACK, _ACCENT = (26, 22, 20), (88, 86, 84), (168, 214, 64)
_LIGHT = 122  # luminance from which on dark text reads better
_PALETTE: tuple[Colour, ...] = (
    (80, 69, 250), (219, 152, 52), (96, 174, 39), (18, 156, 243), (182, 89, 155), (156, 188, 26),
    (34, 126, 230), (193, 110, 255), (255, 191, 0), (60, 200, 160), (120, 80, 220), (140, 120, 90),
)  # fmt: skip


def annotate(
    pixels: Pixels,
    prediction: Prediction,
    *,
    region: Region | None = None,
    labels: bool = True,
    text: float = 1.0,
) -> Pixels:
    """A copy of ``pixels`` (height x width x 3, BGR) with the labels or boxes drawn on it.

    Boxes carry the number of their track; of an embedding there is nothing to see.

    Labels are left out of a picture too small to hold one line of text, and without ``labels``.
    A thin rectangle shows the ``region`` that the model looks at. ``text`` is how many times as
    large as usual boxes and what is written on them are drawn; with 0 they are not written on.
    """
    canvas = pixels.copy()
    usual_px = max(11, round(min(canvas.shape[:2]) * 0.034))
    text_px = round(usual_px * (text or 1))
    if region is not None:
        left, top, width, height = region
        corners = (left, top), (left + width - 1, top + height - 1)
        line_px = max(1, text_px // 12)
        cv2.rectangle(canvas, *corners, _GLASS, line_px + 2)  # seen on bright pictures too
        cv2.rectangle(canvas, *corners, _ACCENT, line_px)
    if isinstance(prediction, Classification):
        if labels:
            _draw_labels(canvas, prediction, text_px)
    elif isinstance(prediction, Detections):
        _draw_boxes(canvas, prediction, text_px)
        if text:
            _draw_tags(canvas, prediction, text_px)
    return canvas


@dataclass(frozen=True)
class _Pen:
    """Text of one size, weight (100 to 900) and colour."""

    px: int
    weight: int
    colour: Colour

    def write(self, canvas: Pixels, text: str, left: int, baseline: int) -> None:
        with _one_at_a_time:
            cv2.putText(canvas, text, (left, baseline), self.colour, _font(), self.px, self.weight)

    def width(self, text: str) -> int:
        with _one_at_a_time:
            return int(cv2.getTextSize((0, 0), text, (0, 0), _font(), self.px, self.weight)[2])

    def fitted(self, text: str, width_px: int) -> str:
        """``text``, cut with an ellipsis where it is too wide; empty when nothing fits."""
        shown = text
        while shown and self.width(shown) > width_px:
            text = text[:-1].rstrip()
            shown = f"{text}…" if text else ""
        return shown


_one_at_a_time = threading.Lock()
"""OpenCV draws wrong glyphs where two threads share a font, and sinks have their own threads."""


@lru_cache(maxsize=1)
def _font() -> cv2.FontFace:
    return cv2.FontFace("sans")


def _draw_labels(canvas: Pixels, prediction: Classification, text_px: int) -> None:
    height, width = canvas.shape[:2]
    pad, row_px, margin = round(text_px * 0.85), round(text_px * 2.05), round(text_px * 0.7)
    panel_width = min(width - 2 * margin, round(text_px * 17))
    rows = min(_ROWS, len(prediction.labels), (height * 6 // 10 - 2 * pad) // row_px)
    if rows < 1 or panel_width < 6 * text_px:
        return
    panel_height = rows * row_px + 2 * pad - round(text_px * 0.6)
    top = height - margin - panel_height
    panel = canvas[top : top + panel_height, margin : margin + panel_width]
    _frost(panel, round(text_px * 0.7))
    for row, label in enumerate(prediction.labels[:rows]):
        pen = _Pen(text_px, 400, _FAINT) if row else _Pen(text_px, 600, _BRIGHT)
        _draw_score(panel, label, pen, (pad, pad + row * row_px))


def _draw_score(panel: Pixels, label: Label, pen: _Pen, corner: tuple[int, int]) -> None:
    """A name, its percentage at the right, and a bar below both."""
    left, right = corner[0], panel.shape[1] - corner[0]
    baseline = corner[1] + round(pen.px * 0.85)
    percent = f"{label.score:.1%}"
    percent_px = pen.width(percent)
    pen.write(panel, percent, right - percent_px, baseline)
    pen.write(panel, pen.fitted(label.name, right - left - percent_px - pen.px), left, baseline)
    bar_px = max(2, round(pen.px * 0.2))
    y = baseline + round(pen.px * 0.48)
    start, end = left + bar_px // 2, right - bar_px // 2
    filled = start + round((end - start) * min(max(label.score, 0), 1))
    cv2.line(panel, (start, y), (end, y), _TRACK, bar_px, cv2.LINE_AA)
    colour = _ACCENT if pen.colour == _BRIGHT else pen.colour
    cv2.line(panel, (start, y), (filled, y), colour, bar_px, cv2.LINE_AA)


def _draw_boxes(canvas: Pixels, prediction: Detections, text_px: int) -> None:
    """The surest on top."""
    line_px = max(2, round(text_px / 6))
    sides = _sides(canvas, prediction).tolist()
    for i in np.argsort(prediction.scores, kind="stable").tolist():
        left, top, right, bottom = sides[i]
        colour = _colour(prediction.class_ids[i])
        cv2.rectangle(canvas, (left, top), (right, bottom), colour, line_px, cv2.LINE_AA)


def _draw_tags(canvas: Pixels, prediction: Detections, text_px: int) -> None:
    """What each box is, beside it."""
    for tag in reversed(_tags(canvas, prediction, text_px)):
        left, top, right, bottom = tag.sides.tolist()
        area = canvas[top:bottom, left:right]
        _blend(area, np.full_like(area, tag.colour), round(text_px * 0.25))
        tag.pen.write(area, tag.text, round(text_px * _TAG_PAD), round(text_px * 1.12))


def _tags(canvas: Pixels, prediction: Detections, text_px: int) -> list[_Tag]:
    """Those who come first have the choice: tracks by age, so that tags stay, then the surest."""
    tracks, sides = prediction.track_ids, _sides(canvas, prediction)
    tags: list[_Tag] = []
    for i in np.lexsort((-prediction.scores, tracks, tracks == NOT_TRACKED)).tolist():
        number = f" #{tracks[i]}" if tracks[i] != NOT_TRACKED else ""
        text = f"{prediction.names[i]}{number} {float(prediction.scores[i]):.0%}"
        colour = _colour(prediction.class_ids[i])
        tag = _tag(text, sides[i], colour, text_px, canvas.shape[:2], tags)
        if tag is not None:
            tags.append(tag)
    return tags


def _sides(canvas: Pixels, prediction: Detections) -> npt.NDArray[np.int64]:
    """Left, top, right and bottom of each box (n, 4), in whole pixels of the picture."""
    highest = np.array([canvas.shape[1], canvas.shape[0]] * 2) - 1
    return np.clip(np.nan_to_num(prediction.xyxy), 0, highest).round().astype(np.int64)


def _colour(class_id: int | np.int64) -> Colour:
    return _PALETTE[int(class_id) % len(_PALETTE)]


@dataclass(frozen=True, eq=False)
class _Tag:
    """What is written beside a box; ``sides`` (4,) are its left, top, right and bottom."""

    sides: npt.NDArray[np.int64]
    text: str
    pen: _Pen
    colour: Colour


def _tag(
    text: str,
    box: npt.NDArray[np.int64],
    colour: Colour,
    text_px: int,
    within: tuple[int, ...],
    others: list[_Tag],
) -> _Tag | None:
    """A tag at the upper or lower side of ``box`` where it hides the least of ``others``.

    None where ``within``, the height and width of the picture, holds no line of text.
    """
    luminance = 0.114 * colour[0] + 0.587 * colour[1] + 0.299 * colour[2]
    pen = _Pen(text_px, 500, _INK if luminance > _LIGHT else _BRIGHT)
    pad, tall = round(text_px * _TAG_PAD), round(text_px * 1.5)
    text = pen.fitted(text, within[1] - 2 * pad)
    wide = pen.width(text) + 2 * pad
    if not text or tall > within[0]:
        return None
    left, top, right, bottom = box.tolist()
    lowest, rightmost = within[0] - tall, within[1] - wide
    rows = [y for y in (top - tall, top, bottom, bottom - tall) if 0 <= y <= lowest] or [lowest]
    columns = max(0, min(left - 1, rightmost)), max(0, min(right + 1 - wide, rightmost))
    places = np.array([(x, y, x + wide, y + tall) for y in rows for x in columns])
    taken = np.array([tag.sides for tag in others], np.float32).reshape(-1, 4)
    hidden = iou_matrix(places.astype(np.float32), taken).sum(1)
    return _Tag(places[hidden.argmin()], text, pen, colour)


def _frost(area: Pixels, radius: int) -> None:
    """Turn ``area`` into dark frosted glass with round corners, in place."""
    blurred = cv2.blur(area, (2 * radius + 1, 2 * radius + 1))
    glass = cv2.addWeighted(blurred, 0.34, np.full_like(area, _GLASS), 0.66, 0)
    _blend(area, glass, radius)  # type: ignore[arg-type]


def _blend(area: Pixels, cover: Pixels, radius: int) -> None:
    """Put ``cover``, its corners rounded, over ``area``, in place."""
    inside = _rounded(area.shape[0], area.shape[1], radius)
    area[:] = cv2.blendLinear(cover, area, inside, 1 - inside)


@lru_cache(maxsize=64)
def _rounded(height: int, width: int, radius: int) -> npt.NDArray[np.float32]:
    """How much of each pixel, 0 to 1, a rectangle with round corners covers."""
    across = np.arange(width, dtype=np.float32)[None, :]
    down = np.arange(height, dtype=np.float32)[:, None]
    beyond_x = np.maximum(np.maximum(radius - 0.5 - across, across - (width - radius - 0.5)), 0)
    beyond_y = np.maximum(np.maximum(radius - 0.5 - down, down - (height - radius - 0.5)), 0)
    covered: npt.NDArray[np.float32] = np.clip(radius + 0.5 - np.hypot(beyond_x, beyond_y), 0, 1)
    return covered
