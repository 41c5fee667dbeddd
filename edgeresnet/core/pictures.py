"""One picture file to BGR pixels."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(100_000_000))  # refuse bombs undecoded

import cv2
import numpy as np

from edgeresnet.core.errors import UsageError
from edgeresnet.core.tensors import Pixels

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm"})


def is_picture(path: Path) -> bool:
    """Whether the name is that of a picture."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def read_picture(path: Path) -> Pixels:
    """Decode a picture file; grey, alpha and 16 bit become 8-bit BGR.

    EXIF orientation is ignored, as it is when networks are trained.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read picture {path}: {error.strerror}") from error
    return decode_picture(data, str(path))


def decode_picture(data: bytes, name: str) -> Pixels:
    """Decode the bytes of a picture file called ``name``."""
    if not data:
        raise UsageError(f"picture {name} is empty")
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise UsageError(
            f"picture {name} cannot be decoded: {_reason(error)}",
            hint="pictures of more than 100 million pixels are refused",
        ) from error
    if pixels is None:
        raise UsageError(f"picture {name} cannot be decoded", hint="is it damaged or no picture?")
    return pixels  # type: ignore[return-value]


def _reason(error: cv2.error) -> str:
    return str(error).strip().splitlines()[-1][-120:]
