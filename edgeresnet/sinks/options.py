"""What every sink with a spool may be told in the query of its URL."""

from __future__ import annotations

import hashlib
import ipaddress
import ssl
from collections.abc import Container
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, unquote_plus, urlsplit

from pydantic import Field

from edgeresnet.core.errors import UsageError
from edgeresnet.core.files import existing_file
from edgeresnet.core.schema import Schema
from edgeresnet.core.secrets import Secret, redact


class Options(Schema):
    """Strings of a query, checked."""

    auth: str = Field("", repr=False)
    """Reference to a secret, as :func:`~edgeresnet.core.secrets.secret_from` reads it."""
    ca: Path | None = None
    """The authority to trust in place of the system's."""
    every: float = Field(0, ge=0)
    """Seconds between two events of one source, at least."""
    spool: str = Field("", pattern=r"^[A-Za-z0-9_-]{1,64}$")
    spool_mb: float = Field(64, gt=0, le=1 << 20)
    full: Literal["drop_oldest", "reject_new"] = "drop_oldest"


def split_place(place: str, shape: str) -> SplitResult:
    """The parts of a URL that names a host and holds no password; else a usage error.

    ``shape`` is what it should look like.
    """
    what = f"sink {shape.partition(':')[0]}"
    if not place.isprintable() or " " in place:
        raise UsageError(f"{what}: a blank or control character in the address", hint=shape)
    try:
        parts = urlsplit(place)
        host, _ = parts.hostname, parts.port
        (host or "").encode("idna")
    except ValueError as error:
        raise UsageError(f"{what}: the address is no URL", hint=shape) from error
    if parts.username is not None:
        for secret in (parts.netloc.rpartition("@")[0], parts.password or ""):
            Secret(secret)  # known from now on, so that no message shows it
        raise UsageError(
            f"{what}: a password in the address shows in lists of processes and in logs",
            hint="leave it out of the URL and add ?auth=env:NAME, file:PATH or credential:NAME",
        )
    if not host:
        raise UsageError(f"{what}: no host", hint=shape)
    return parts


def split_query(
    query: str, what: str, ours: Container[str] | None = None
) -> tuple[dict[str, str], str]:
    """The options that are ``ours`` (None: all), and what else there is, as it was."""
    options: dict[str, str] = {}
    others = []
    for part in query.split("&"):
        key, _, value = part.partition("=")
        key = unquote_plus(key)
        if not part or (ours is not None and key not in ours):
            others.append(part)
            continue
        if key in options:
            raise UsageError(f"{what}: {key} is given twice")
        options[key] = unquote_plus(value)
    return options, "&".join(filter(None, others))


def spool_name(options: Options, scheme: str, destination: str) -> str:
    """The name that the user gave the spool, or one made of where its events go."""
    digest = hashlib.sha256(redact(destination).encode("utf-8", "backslashreplace")).hexdigest()
    return options.spool or f"{scheme}-{digest[:16]}"


def tls(options: Options, what: str) -> ssl.SSLContext:
    """Certificates and host names are always checked; TLS 1.2 is the oldest."""
    ca = options.ca
    if ca is not None:
        existing_file(ca, f"{what}: ca")
    try:
        context = ssl.create_default_context(cafile=ca)
    except OSError as error:  # SSLError is one
        raise UsageError(f"{what}: ca: {ca} holds no certificate") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def is_here(host: str) -> bool:
    """Whether ``host`` is this machine, whose wires nobody else listens to."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
