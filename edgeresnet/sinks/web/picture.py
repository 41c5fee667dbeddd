"""One frame as a JPEG that a browser shows, and a few words on what was seen in it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, replace

import cv2
import numpy as np

from edgeresnet.core.frames import Frame, Region
from edgeresnet.core.predictions import Classification, Detections, Embedding, Prediction
from edgeresnet.sinks.draw import annotate

LONGEST_SIDE = 1280
_QUALITY = 80
_ENTRIES, _LETTERS = 5, 80


@dataclass(frozen=True)
class Picture:
    """What is sent; it holds nothing of the frame it was made from."""

    number: int
    """Another one for each frame that came, over all sources."""
    index: int
    """The frame's position in its source."""
    captured_ns: int
    """``time.monotonic_ns()`` at capture."""
    said: str
    """The prediction as short JSON in ASCII, see :func:`said`."""
    jpeg: bytes


@dataclass(frozen=True)
class Look:
    """How a prediction is drawn on a picture."""

    labels: bool = True
    """Whether a classification is written on it."""
    text: float = 1.0
    """Size of what is written on boxes, as :func:`annotate` takes it."""


def make_picture(frame: Frame, prediction: Prediction, number: int, look: Look) -> Picture:
    """Draw and encode."""
    pixels, region, drawn = frame.pixels, frame.region, prediction
    scale = LONGEST_SIDE / max(frame.width, frame.height)
    if scale < 1:  # before drawing, so that what is drawn stays sharp
        size = max(1, round(frame.width * scale)), max(1, round(frame.height * scale))
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
        drawn, region = _scaled(prediction, scale), _scaled_region(region, scale, size)
    pixels = annotate(pixels, drawn, region=region, labels=look.labels, text=look.text)
    _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return Picture(number, frame.index, frame.captured_ns, said(prediction), data.tobytes())


def said(prediction: Prediction) -> str:
    """``{"labels": [[name, score], …]}`` or ``{"boxes": n, "labels": [[name, count], …]}``.

    Of an embedding, ``{"features": n}``.

    The most likely or most frequent few, then by name; names cut, so that it fits an HTTP header.
    """
    told: dict[str, object]
    if isinstance(prediction, Classification):
        best = prediction.labels[:_ENTRIES]
        told = {"labels": [[one.name[:_LETTERS], round(float(one.score), 4)] for one in best]}
    elif isinstance(prediction, Embedding):
        told = {"features": len(prediction.vector)}
    else:
        counts = Counter(sorted(prediction.names)).most_common(_ENTRIES)  # so that rows stay
        told = {
            "boxes": len(prediction),
            "labels": [[name[:_LETTERS], count] for name, count in counts],
        }
    return json.dumps(told).replace("\x7f", "\\u007f")  # which no header may hold


def _scaled(prediction: Prediction, scale: float) -> Prediction:
    if isinstance(prediction, Detections):
        return replace(prediction, xyxy=prediction.xyxy * np.float32(scale))
    return prediction


def _scaled_region(region: Region | None, scale: float, size: tuple[int, int]) -> Region | None:
    if region is None:
        return None
    left, top = int(region[0] * scale), int(region[1] * scale)
    width, height = max(1, round(region[2] * scale)), max(1, round(region[3] * scale))
    return left, top, min(width, size[0] - left), min(height, size[1] - top)
