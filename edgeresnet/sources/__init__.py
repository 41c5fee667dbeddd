"""Where frames come from, one module per scheme.

::

    camera://0   /dev/v4l/by-id/NAME   rtsp://host/path   http://host/video.mjpg
    csi://0   gst://TEMPLATE   file://clip.mp4?loop=1   synthetic://640x480?fps=30

Short forms: a bare number or ``/dev/video0`` is a camera, anything else without a scheme is a
file: a picture, a folder or a glob of pictures, or a video. Options follow a ``?``; those of every
source are ``roi=LEFT,TOP,WIDTH,HEIGHT``, ``as=NAME``, and of live ones ``stall=SECONDS``. In a URL
whatever is not ours stays as it is.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import parse_qsl

from edgeresnet.core.errors import UsageError
from edgeresnet.sources.patience import Patience
from edgeresnet.sources.terms import Terms

if TYPE_CHECKING:
    from edgeresnet.core.protocols import FrameSource
    from edgeresnet.sources.shots import Loss

SCHEMES = {
    "camera": "edgeresnet.sources.camera",
    "csi": "edgeresnet.sources.gst",
    "file": "edgeresnet.sources.file",
    "gst": "edgeresnet.sources.gst",
    "http": "edgeresnet.sources.network",
    "https": "edgeresnet.sources.network",
    "rtsp": "edgeresnet.sources.network",
    "rtsps": "edgeresnet.sources.network",
    "synthetic": "edgeresnet.sources.synthetic",
}
"""Scheme to the module whose ``open_place`` opens it."""

_URLS = frozenset({"http", "https", "rtsp", "rtsps"})
_OF_ALL = frozenset({"roi", "as", "stall", "auth"})
_OF_URLS = _OF_ALL | {"transport"}
_FILE_OPTIONS = re.compile(r"\?(?=[a-z_]+=)[^?/]*$")
"""Only ``key=value`` at the end: ``?`` in ``img_?.png`` is part of a glob."""
_CAMERA = re.compile(r"[0-9]+|/dev/(video[0-9]+|v4l/.+)")
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True)
class SourceUri:
    """``scheme://place?option=value``, taken apart; the place of a URL is all of it but ours."""

    scheme: str
    place: str = field(repr=False)  # may hold a password
    options: Mapping[str, str] = field(default_factory=dict, repr=False)


def parse_source(text: str) -> SourceUri:
    """Take a source argument apart, the short forms included; an unknown scheme is refused."""
    scheme, found, rest = text.partition("://")
    if found and scheme.lower() not in SCHEMES:
        from edgeresnet.core.schema import nearest

        raise UsageError(f"no source scheme named {scheme!r}", hint=nearest(scheme, SCHEMES))
    if not found:
        scheme, rest = "file", text
        head = text.partition(":")[0].lower()
        if ":" in text and head in SCHEMES and not Path(text).exists():
            raise UsageError(f"source {head}: is not complete", hint=f"write {head}://PLACE")
    if scheme.lower() in _URLS:
        return _url(scheme.lower(), rest)
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


def _url(scheme: str, rest: str) -> SourceUri:
    place, asked, query = rest.partition("?")
    parts = query.split("&") if asked else []
    ours = [part for part in parts if part.partition("=")[0] in _OF_URLS]
    theirs = "&".join(part for part in parts if part not in ours)
    url = f"{scheme}://{place}?{theirs}" if theirs else f"{scheme}://{place}"
    return SourceUri(scheme, url, dict(parse_qsl("&".join(ours), keep_blank_values=True)))


def open_source(
    text: str,
    *,
    index: int = 0,
    stop: threading.Event | None = None,
    patience: Patience | None = None,
    on_loss: Callable[[Loss], None] | None = None,
) -> AbstractContextManager[FrameSource]:
    """Open what ``text`` names; leaving the context releases it.

    A wrong scheme or option is refused by this call, a wrong place on entering the context; a
    live source that is not there is no error: it is tried again for ever. Setting ``stop`` ends the
    source after the frame it is at. ``index`` is the source's position among the sources of a run:
    from 1 on it makes the name unique (``clip.mp4-1``). ``on_loss`` is told of each picture or
    frame of a file that cannot be read.
    """
    uri = parse_source(text)
    what = f"source {uri.scheme}://"
    own = {key: value for key, value in uri.options.items() if key not in _OF_ALL}
    terms = Terms(
        index,
        stop or threading.Event(),
        patience or Patience(),
        auth=_auth(uri, what),
        on_loss=on_loss,
    )
    if name := uri.options.get("as", ""):
        if not _NAME.fullmatch(name):
            raise UsageError(f"{what}: as={name!r}: letters, digits and ._- make a name, up to 64")
        terms = replace(terms, name=name)
    if "stall" in uri.options:
        seconds = _seconds(uri.options["stall"], what)
        terms = replace(terms, patience=replace(terms.patience, stall_s=seconds))
    open_place = cast(
        "Callable[..., AbstractContextManager[FrameSource]]",
        import_module(SCHEMES[uri.scheme]).open_place,
    )
    if "roi" not in uri.options:
        return open_place(uri.place, own, terms)
    from edgeresnet.core.region import RegionSpec
    from edgeresnet.sources.looking import looking

    region = RegionSpec.of(uri.options["roi"], what)
    return looking(open_place(uri.place, own, terms), region)


def _auth(uri: SourceUri, what: str) -> str:
    auth = uri.options.get("auth", "")
    if auth and uri.scheme not in _URLS:
        raise UsageError(f"{what}: auth is for rtsp:// and http://")
    return auth


def _seconds(text: str, what: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 3600:
        raise UsageError(f"{what}: stall={text!r}: seconds are needed, more than 0 up to 3600")
    return seconds
