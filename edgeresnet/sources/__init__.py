"""Where frames come from, one module per scheme.

::

    camera://0   file://clip.mp4?loop=1   synthetic://640x480?count=100

Short forms: a bare number or ``/dev/video0`` is a camera, anything else without a scheme is a
file: a picture, a folder or a glob of pictures, or a video. Options follow a ``?``.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from importlib import import_module
from typing import cast
from urllib.parse import parse_qsl

from edgeresnet.core.errors import UsageError
from edgeresnet.core.protocols import FrameSource
from edgeresnet.core.schema import nearest

SCHEMES = {
    "camera": "edgeresnet.sources.camera",
    "file": "edgeresnet.sources.file",
    "synthetic": "edgeresnet.sources.synthetic",
}
"""Scheme to the module whose ``open_place`` opens it."""

_FILE_OPTIONS = re.compile(r"\?(?=[a-z_]+=)[^?/]*$")
"""Only ``key=value`` at the end: ``?`` in ``img_?.png`` is part of a glob."""
_CAMERA = re.compile(r"[0-9]+|/dev/(video[0-9]+|v4l/.+)")


@dataclass(frozen=True)
class SourceUri:
    """``scheme://place?option=value``, taken apart."""

    scheme: str
    place: str = field(repr=False)  # may hold a password, once a scheme takes one
    options: Mapping[str, str] = field(default_factory=dict, repr=False)


def parse_source(text: str) -> SourceUri:
    """Take a source argument apart, the short forms included; an unknown scheme is refused."""
    scheme, found, rest = text.partition("://")
    if found and scheme.lower() not in SCHEMES:
        raise UsageError(f"no source scheme named {scheme!r}", hint=nearest(scheme, SCHEMES))
    if not found:
        scheme, rest = "file", text
        head = text.partition(":")[0].lower()
        if ":" in text and head in SCHEMES:
            raise UsageError(f"source {head}: is not complete", hint=f"write {head}://PLACE")
    place, query = _split(rest, anywhere=scheme.lower() != "file")
    if not found and _CAMERA.fullmatch(place):
        scheme = "camera"
    if query and not all("=" in option for option in query.split("&")):
        raise UsageError(
            f"source {scheme}://: an option without a value", hint="?name=value&name=value"
        )
    return SourceUri(scheme.lower(), place, dict(parse_qsl(query, keep_blank_values=True)))


def _split(rest: str, *, anywhere: bool) -> tuple[str, str]:
    if anywhere:
        place, _, query = rest.partition("?")
        return place, query
    match = _FILE_OPTIONS.search(rest)
    return (rest[: match.start()], match[0][1:]) if match else (rest, "")


def open_source(
    text: str, *, index: int = 0, stop: threading.Event | None = None
) -> AbstractContextManager[FrameSource]:
    """Open what ``text`` names; leaving the context releases it.

    A wrong scheme or option is refused by this call, a wrong place on entering the context.
    Setting ``stop`` ends the source after the frame it is at. ``index`` is the source's position
    among the sources of a run: from 1 on it makes the name unique (``clip.mp4-1``).
    """
    uri = parse_source(text)
    open_place = cast(
        "Callable[..., AbstractContextManager[FrameSource]]",
        import_module(SCHEMES[uri.scheme]).open_place,
    )
    return open_place(uri.place, uri.options, index=index, stop=stop or threading.Event())
