"""``web:[ADDRESS:]PORT?token=…&host=…``: where to listen, and who may look."""

from __future__ import annotations

import errno
import ipaddress
import re
import secrets
import socket
from dataclasses import dataclass
from urllib.parse import quote, unquote

import psutil

from edgeresnet.core.errors import UsageError
from edgeresnet.core.schema import nearest
from edgeresnet.core.secrets import Secret, secret_from

_HERE = "127.0.0.1"
_PLACE = re.compile(r"(?:(?P<host>\[[^\]]*\]|[^:\[\]/]+):)?(?P<port>\d{1,5})")
_NAME = re.compile(r"[a-z0-9_]([a-z0-9._-]{0,251}[a-z0-9_])?")
_OPTIONS = ("token", "host")
_SHORTEST = 16
"""Characters of a token: one that can be guessed is none."""
_MADE_BYTES = 24
_BACKLOG = 64
_SEND_BYTES = 256 << 10
"""What the system keeps for a client that does not read; it would take megabytes by itself."""
_UNREAD_MS = 10_000
"""After this the system cuts a client that does not take what was sent."""


@dataclass(frozen=True)
class Place:
    """Where the page is served."""

    host: str
    """An IP address of this machine, or its wildcard."""
    port: int
    """0 is any that is free."""
    token: Secret | None = None
    made: bool = False
    """Whether the token was made here, so that somebody has to be told."""
    names: frozenset[str] = frozenset()
    """Further host names and addresses, in lower case, that a browser may call this server by."""

    def url(self, port: int) -> str:
        """The page as somebody at another machine would type it, without the token."""
        host = min(self.names, default="") if self._wildcard else ""
        host = host or (_outward(self.host) if self._wildcard else self.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{port}/"

    def url_with_token(self, port: int) -> str:
        """The same, with the token: a secret itself."""
        token = quote(self.token.reveal(), safe="") if self.token else ""
        return f"{self.url(port)}?token={token}"

    @property
    def _wildcard(self) -> bool:
        return ipaddress.ip_address(self.host).is_unspecified


def parse_place(text: str) -> Place:
    """Take the place of a ``web:`` sink apart; what is wrong or unsafe is a usage error."""
    where, _, query = text.partition("?")
    found = _PLACE.fullmatch(where)
    if found is None or int(found["port"]) > 65535:
        raise UsageError(
            f"web: {where!r} is no place to listen",
            hint="web:8080, web:127.0.0.1:8080 or web:[::1]:8080",
        )
    host, options = found["host"] or _HERE, _options(query)
    if host == "localhost":
        host = _HERE
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError as error:
        raise UsageError(
            f"web: {host!r} is not an IP address",
            hint=f"an address of this machine, or 0.0.0.0 for all: web:0.0.0.0:{found['port']}?…",
        ) from error
    token, made = _token(options.get("token")), options.get("token") == "auto"
    if token is None and not address.is_loopback:
        raise UsageError(
            f"web: other machines reach {host}, so it takes a token",
            hint=f"web:{where}?token=auto, or ?token=env:NAME or ?token=file:PATH",
        )
    names = frozenset(_name(name) for name in options.get("host", "").split(",") if name)
    return Place(str(address), int(found["port"]), token, made, names)


def _options(query: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for part in query.split("&") if query else ():
        key, found, value = part.partition("=")
        if not found or not value or key in options:  # it may be a secret: not repeated
            raise UsageError(
                "web: after ? come options, each once", hint="?token=auto or ?host=NAME,NAME"
            )
        if key not in _OPTIONS:
            raise UsageError(f"web: no option named {key!r}", hint=nearest(key, _OPTIONS))
        options[key] = unquote(value)
    return options


def _token(reference: str | None) -> Secret | None:
    if reference is None:
        return None
    if reference == "auto":
        return Secret(secrets.token_urlsafe(_MADE_BYTES))
    token = secret_from(reference, "web: token")
    text = token.reveal()
    if len(text) < _SHORTEST or not all("!" <= letter <= "~" for letter in text):
        raise UsageError(
            f"web: a token has at least {_SHORTEST} letters, digits or signs, and no spaces",
            hint="openssl rand -hex 16 makes one",
        )
    return token


def _name(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text.strip("[]")))
    except ValueError:
        pass
    if not _NAME.fullmatch(text.lower()):
        raise UsageError(
            f"web: {text!r} is no host name", hint="as in ?host=cam.local,192.168.1.5, no port"
        )
    return text.lower()


def _outward(host: str) -> str:
    """An address that other machines may know this one by."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    known = (
        one.address
        for addresses in psutil.net_if_addrs().values()
        for one in addresses
        if one.family == family and "%" not in one.address
    )
    return next((one for one in known if not ipaddress.ip_address(one).is_loopback), _HERE)


def listen(place: Place) -> socket.socket:
    """A socket that listens there; the caller's to close. In use or not ours: a usage error."""
    flags = socket.AI_NUMERICHOST | socket.AI_PASSIVE
    family, kind, protocol, _, address = socket.getaddrinfo(
        place.host, place.port, type=socket.SOCK_STREAM, flags=flags
    )[0]
    opened = None
    try:
        opened = socket.socket(family, kind, protocol)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BYTES)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNREAD_MS)
        opened.bind(address)
        opened.listen(_BACKLOG)
    except OSError as error:
        if opened is not None:
            opened.close()
        raise _refused(place, error) from error
    return opened


def _refused(place: Place, error: OSError) -> UsageError:
    if error.errno == errno.EADDRINUSE:
        return UsageError(
            f"web: port {place.port} is in use at {place.host}",
            hint=f"another port, or web:0 for any; ss -ltnp 'sport = :{place.port}' says who",
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return UsageError(
            f"web: {place.host} is not an address of this machine",
            hint="ip -brief address lists them; 0.0.0.0 is all of them",
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return UsageError(f"web: no permission to listen at port {place.port}", hint="web:8080")
    return UsageError(f"web: cannot listen at {place.host} port {place.port}: {error.strerror}")
