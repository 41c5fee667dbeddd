"""``camera://0?width=1280&height=720&fps=30&fourcc=MJPG``: a V4L2 camera."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from pydantic import Field

from edgeresnet.core.errors import UsageError
from edgeresnet.core.schema import Schema, parse
from edgeresnet.sources.capture import CaptureSource, captured
from edgeresnet.sources.grab import Order
from edgeresnet.sources.terms import Terms


class Options(Schema):
    """What may follow the ``?``; the camera's own choice where absent."""

    width: int | None = Field(None, gt=0, le=16384)
    height: int | None = Field(None, gt=0, le=16384)
    fps: float | None = Field(None, gt=0, le=1000)
    fourcc: str | None = Field(None, pattern="^[A-Za-z0-9]{4}$")
    """Pixel format on the wire: ``MJPG`` gives large pictures at full rate over USB."""


def open_place(
    place: str, options: Mapping[str, str], terms: Terms
) -> AbstractContextManager[CaptureSource]:
    """Open camera number ``place``, or the device file ``place`` (``/dev/v4l/by-id/...`` too)."""
    chosen = parse(Options, options, "source camera://", UsageError)
    if not (place.isdecimal() or place.startswith("/")):
        raise UsageError(
            f"source camera://: no such camera: {place!r}",
            hint="a number, or a device file as in /dev/v4l/by-id/…",
        )
    device = Path(f"/dev/video{place}") if place.isdecimal() else Path(place)
    name = terms.name or f"camera-{device.name.removeprefix('video')}"
    return captured(Order("v4l2", str(device), chosen.model_dump()), name, terms, fps=chosen.fps)
