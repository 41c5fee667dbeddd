"""``rtsp://host/path``, ``http://host/path`` (MJPEG and video) and their TLS forms.

Ours in the query are ``transport`` (``tcp``, ``udp``) and the options of every source; all else
is the camera's and stays in the URL. User and password come by reference: ``auth=env:NAME``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from itertools import takewhile
from typing import Literal
from urllib.parse import unquote, urlsplit

from edgeresnet.core.errors import UsageError
from edgeresnet.core.schema import Schema, parse
from edgeresnet.core.secrets import Secret, secret_from
from edgeresnet.sources.capture import CaptureSource, captured
from edgeresnet.sources.grab import Order
from edgeresnet.sources.terms import Terms

OURS = frozenset({"transport"})
"""Options of these schemes that are taken out of the query."""
_PASSWORDS = ("password", "passwd", "pwd", "pass", "token")


class Options(Schema):
    """What of the query is ours."""

    transport: Literal["tcp", "udp"] = "tcp"


def open_place(
    place: str, options: Mapping[str, str], terms: Terms
) -> AbstractContextManager[CaptureSource]:
    """Open the URL ``place``, which is whole, with its scheme."""
    chosen = parse(Options, options, "source", UsageError)
    try:
        parts = urlsplit(place)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError("source: the address is no URL", hint="rtsp://HOST:PORT/PATH") from error
    if not host or not parts.scheme:
        raise UsageError(f"source {parts.scheme}://: no host", hint="rtsp://HOST:PORT/PATH")
    secret = _secret(parts.username, parts.password, terms)
    plain = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    for text in (*parts.query.split("&"), *re.split("[/&;]", parts.path)):
        key, _, value = text.partition("=")
        if value and any(word in key.lower() for word in _PASSWORDS):
            Secret(unquote(value))  # known from now on, so that no message shows it
    plainly = takewhile(lambda word: not set(word) & set("=&;@"), parts.path.split("/"))
    where = "-".join(word for word in (host, str(port or ""), *plainly) if word)
    name = terms.named("".join(c if c.isalnum() or c in "._-" else "_" for c in where))
    order = Order("network", plain, chosen.model_dump(), secret, terms.patience.open_s)
    return captured(order, name, terms)


def _secret(user: str | None, password: str | None, terms: Terms) -> Secret | None:
    if terms.auth:
        return secret_from(terms.auth, "source: auth")
    if user is None and password is None:
        return None
    Secret(unquote(password or user or ""))
    return Secret(f"{unquote(user or '')}:{unquote(password or '')}")
