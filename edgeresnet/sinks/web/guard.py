"""Who may ask the web sink: by the right name, from the right page, with the token."""

from __future__ import annotations

import hmac
import ipaddress
import re
from hashlib import sha256

from aiohttp import web

from edgeresnet.sinks.web.place import Place

OPEN = "/livez"
"""The one route that takes no token: it says nothing but that the server turns."""
METHODS = ("GET", "HEAD")
_LARGEST_BODY = 64 << 10
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?")
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


class Guard:
    """Refuses before anything is looked up.

    A wrong ``Host`` is what a rebound DNS name looks like (421). A foreign ``Origin`` or
    ``Sec-Fetch-Site`` is another page of the same browser (403).
    """

    def __init__(self, place: Place) -> None:
        self._names = _LOCAL | place.names | {place.host}
        self._digest = _digest(place.token.reveal()) if place.token else None

    def refusal(self, request: web.BaseRequest, own_address: str) -> int | None:
        """The status to refuse with, or None. ``own_address`` is what the client connected to."""
        hosts = request.headers.getall("Host", [])
        name = host_name(hosts[0]) if len(hosts) == 1 else None
        if name is None or name not in self._names | {_plain(own_address)}:
            return 421
        if _foreign(request, hosts[0]):
            return 403
        if request.method not in METHODS:
            return 405
        if (request.content_length or 0) > _LARGEST_BODY:
            return 413
        if self._digest is None or request.path == OPEN:
            return None
        return None if hmac.compare_digest(_digest(given_token(request)), self._digest) else 401


def given_token(request: web.BaseRequest) -> str:
    """The token that came along, in ``Authorization: Bearer`` or ``?token=``; empty without."""
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else request.query.get("token", "")


def host_name(header: str) -> str | None:
    """The name in a ``Host`` header, without port and brackets; None where it is malformed."""
    found = _HOST.fullmatch(header)
    return _plain(found[1].strip("[]")) if found else None


def _plain(name: str) -> str:
    """One spelling of each address: IPv4 is not written as IPv6."""
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return name.lower()
    return str(getattr(address, "ipv4_mapped", None) or address)


def _foreign(request: web.BaseRequest, host: str) -> bool:
    """Whether another page is behind it. Who sends neither header is no browser, or typed it."""
    origin = request.headers.get("Origin")
    own = {f"{scheme}://{host.lower()}" for scheme in ("http", "https")}
    if origin is not None and origin.lower() not in own:
        return True
    site = request.headers.get("Sec-Fetch-Site", "none")
    return site not in ("none", "same-origin") and not (site == "same-site" and origin is not None)


def _digest(token: str) -> bytes:
    return sha256(token.encode("utf-8", "replace")).digest()
