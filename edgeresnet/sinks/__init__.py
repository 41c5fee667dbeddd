"""Where predictions go, one module per scheme.

::

    jsonl:-   jsonl:out.jsonl   csv:out.csv   video:out.mp4   images:FOLDER   web:8080
    mqtt://HOST/TOPIC   mqtts://HOST/TOPIC   webhook:https://HOST/PATH

``-`` is the standard output. ``jsonl:`` and ``csv:`` append to a file that is there; ``video:``
and ``images:`` refuse to replace anything without ``force``.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import cast

from edgeresnet.core.errors import UsageError
from edgeresnet.core.protocols import Sink
from edgeresnet.core.schema import nearest
from edgeresnet.core.status import RunStatus

SCHEMES = {
    "csv": "edgeresnet.sinks.csv",
    "images": "edgeresnet.sinks.images",
    "jsonl": "edgeresnet.sinks.jsonl",
    "mqtt": "edgeresnet.sinks.mqtt",
    "mqtts": "edgeresnet.sinks.mqtts",
    "video": "edgeresnet.sinks.video",
    "web": "edgeresnet.sinks.web",
    "webhook": "edgeresnet.sinks.webhook",
}
"""Scheme to the module whose ``open_place`` opens it."""

_STDOUT = frozenset({"-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"})


@dataclass(frozen=True)
class SinkUri:
    """``scheme:place``, taken apart."""

    scheme: str
    place: str = field(repr=False)  # may hold a password, once a scheme takes one


@dataclass(frozen=True)
class Terms:
    """What a sink may want to know of the run that feeds it."""

    model: str
    """``sha256:`` digest of the model."""
    fps: float | None = None
    """Frames a second of the source; None when nobody knows."""
    force: bool = False
    """Whether what is already there may be replaced."""
    status: Callable[[], RunStatus] | None = None
    """How the run is doing now; None where nobody keeps track."""


def parse_sink(text: str) -> SinkUri:
    """Take a sink argument apart; an unknown scheme is refused."""
    scheme, found, place = text.partition(":")
    if not found:
        likely = {"": "jsonl", "-": "jsonl", ".mkv": "video", ".mov": "video", ".mp4": "video"}
        suffix = Path(text).suffix if text != "-" else text
        guess = likely.get(suffix, suffix[1:] if suffix[1:] in SCHEMES else "images")
        raise UsageError(f"sink {text!r} names no scheme", hint=f"did you mean {guess}:{text}?")
    if scheme.lower() not in SCHEMES:
        raise UsageError(f"no sink scheme named {scheme!r}", hint=nearest(scheme, SCHEMES))
    if not place:
        raise UsageError(f"sink {scheme}: names no place", hint=f"write {scheme}:PLACE")
    return SinkUri(scheme.lower(), place)


def writes_stdout(text: str) -> bool:
    """Whether the sink writes to the standard output, which then is nobody else's."""
    return parse_sink(text).place in _STDOUT


def open_sink(
    text: str,
    *,
    model: str,
    fps: float | None = None,
    force: bool = False,
    status: Callable[[], RunStatus] | None = None,
) -> AbstractContextManager[Sink]:
    """Open what ``text`` names; leaving the context finishes what was written.

    A wrong scheme is refused by this call, a wrong place on entering the context. ``model`` is
    the digest that predictions carry, ``fps`` the source's rate for those who draw a film.
    """
    uri = parse_sink(text)
    open_place = cast(
        "Callable[[str, Terms], AbstractContextManager[Sink]]",
        import_module(SCHEMES[uri.scheme]).open_place,
    )
    return open_place(uri.place, Terms(model, fps, force, status))
