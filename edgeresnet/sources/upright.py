"""Decoded video frames to BGR pixels, upright.

Measured against the alternatives (768x576 and 768x432, two cores): one kept reformatter on one
thread whose result is viewed, not copied, takes 0.11 ms of CPU a frame on top of decoding;
``to_ndarray(format="bgr24")`` takes 0.3 to 1.3 ms. Colours equal ``cv2.VideoCapture``'s exactly.
"""

from __future__ import annotations

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from edgeresnet.core.tensors import Pixels


def upright(frame: VideoFrame, convert: VideoReformatter) -> Pixels:
    """A view of the converted picture where its rows lie close, else a copy."""
    picture = convert.reformat(frame, format="bgr24", threads=1)
    plane = picture.planes[0]
    buffer: Pixels = np.frombuffer(plane, np.uint8)  # type: ignore[call-overload]
    rows = buffer.reshape(-1, plane.line_size)
    pixels = rows[: picture.height, : picture.width * 3].reshape(picture.height, picture.width, 3)
    if frame.rotation % 360 in (90, 180, 270):
        return _turned(pixels, frame.rotation % 360)
    return pixels.copy() if picture is frame else pixels  # the decoder may still need its own


def _turned(pixels: Pixels, degrees: int) -> Pixels:
    import cv2  # twice as fast as numpy, and too large to load for the few films that need it

    turns = {
        90: cv2.ROTATE_90_COUNTERCLOCKWISE,
        180: cv2.ROTATE_180,
        270: cv2.ROTATE_90_CLOCKWISE,
    }
    return cv2.rotate(pixels, turns[degrees])  # type: ignore[return-value]
