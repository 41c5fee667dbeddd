"""Why a stream could not be opened: FFmpeg says "input/output error" to most of it."""

from __future__ import annotations

import http.client
import socket
from contextlib import closing
from urllib.parse import SplitResult, urlsplit

import av

from edgeresnet.sources.fault import Fault

_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
_SAID = {
    av.error.HTTPUnauthorizedError: (
        "unauthorized",
        "the server asks for another user or password",
    ),
    av.error.HTTPForbiddenError: ("forbidden", "the server forbids it"),
    av.error.HTTPNotFoundError: ("not-found", "the server knows no such stream"),
    av.error.ConnectionRefusedError: ("refused", "the server refuses connections"),
}
_SUPPOSED = {
    av.error.ExitError: ("timeout", "connected, but no answer"),
    av.error.TimeoutError: ("timeout", "connected, but no answer"),
    av.error.ConnectionResetError: ("closed", "the server closed the connection"),
    av.error.EOFError: ("closed", "the server closed the connection"),
    av.error.InvalidDataError: ("invalid", "what it sends is no video stream"),
}
"""What it means once the server is known to answer."""
_HINTS = {"unauthorized": "auth=env:NAME in the source, with user:password in the variable"}


def diagnosed(error: Exception, url: str, timeout_s: float) -> Fault:
    """The fault behind ``error``; the server is looked at again where that does not tell."""
    parts = urlsplit(url)
    found = (
        _of(error, _SAID)
        or _connection(parts, timeout_s)
        or _redirects(parts, timeout_s)
        or _of(error, _SUPPOSED)
        or ("error", getattr(error, "strerror", "") or type(error).__name__)
    )
    reason, what = found
    return Fault(reason, f"{url}: {what}", hint=_HINTS.get(reason, ""))


def _of(
    error: Exception, table: dict[type[av.FFmpegError], tuple[str, str]]
) -> tuple[str, str] | None:
    return next((found for kind, found in table.items() if isinstance(error, kind)), None)


def _connection(parts: SplitResult, timeout_s: float) -> tuple[str, str] | None:
    """What is wrong with connecting; None when that works."""
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    try:
        socket.create_connection((host, port), timeout=timeout_s).close()
    except socket.gaierror as error:
        return "dns", f"no address for {host}: {error.strerror}"
    except TimeoutError:
        return "timeout", f"{host} does not answer at port {port}"
    except ConnectionRefusedError:
        return "refused", "the server refuses connections"
    except OSError as error:
        return "unreachable", str(error.strerror or error)
    return None


def _redirects(parts: SplitResult, timeout_s: float) -> tuple[str, str] | None:
    """Whether FFmpeg gave up following an HTTP server from address to address."""
    if parts.scheme != "http":
        return None
    with closing(http.client.HTTPConnection(parts.netloc, timeout=timeout_s)) as asked:
        try:
            asked.request("GET", f"{parts.path or '/'}?{parts.query}".rstrip("?"))
            if 300 <= asked.getresponse().status < 400:
                return "redirects", "the server sends us in circles"
        except (OSError, http.client.HTTPException):
            pass
    return None
