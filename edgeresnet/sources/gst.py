"""``gst://TEMPLATE?width=1280&height=720&fps=30`` and ``csi://0``: capture by GStreamer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import AbstractContextManager

from pydantic import Field

from edgeresnet.core.errors import UsageError
from edgeresnet.core.schema import Schema, nearest, parse
from edgeresnet.sources.capture import CaptureSource, captured
from edgeresnet.sources.grab import Order
from edgeresnet.sources.grab.gst import TEMPLATES, rate
from edgeresnet.sources.terms import Terms


class Options(Schema):
    """What may follow the ``?``."""

    width: int = Field(1280, gt=0, le=16384)
    height: int = Field(720, gt=0, le=16384)
    fps: int = Field(30, gt=0, le=1000)
    device: str = Field("/dev/video0", pattern=r"^/dev/[A-Za-z0-9._:/-]+$")
    """For the templates that read a V4L2 device."""
    sensor: int = Field(0, ge=0, le=63)
    """For ``csi``."""
    url: str = Field("", pattern=r"^(rtsps?://[A-Za-z0-9._:/?&=%~@\[\]-]+)?$")
    """For the templates that read an RTSP stream; without user and password."""


def open_place(
    place: str, options: Mapping[str, str], terms: Terms
) -> AbstractContextManager[CaptureSource]:
    """Start the template ``place``; a number is a CSI camera."""
    chosen = parse(Options, options, "source gst://", UsageError)
    if place.isdecimal():
        place, chosen = "csi", chosen.model_copy(update={"sensor": int(place)})
    if place not in TEMPLATES:
        raise UsageError(f"source gst://: no template {place!r}", hint=nearest(place, TEMPLATES))
    if "{url}" in TEMPLATES[place]:
        if not chosen.url:
            raise UsageError(f"source gst://{place}: no url", hint=f"gst://{place}?url=rtsp://…")
        if re.search("://[^/]*@", chosen.url) or terms.auth:
            raise UsageError(
                f"source gst://{place}: a password would show in the list of processes",
                hint="rtsp://… with auth=env:NAME decodes without GStreamer",
            )
    order = Order("gst", place, chosen.model_dump(), open_s=terms.patience.open_s)
    name = terms.named(f"csi-{chosen.sensor}" if place == "csi" else f"gst-{place}")
    return captured(order, name, terms, fps=rate(place, order.options))
