"""Download one file over https: resumable, its digest checked, whole or not at all."""

from __future__ import annotations

import http.client
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast
from urllib.parse import urlsplit

import edgeresnet
from edgeresnet.core.errors import DeviceError, ModelError, UsageError
from edgeresnet.core.files import disk_error, sha256_file, whole_file
from edgeresnet.core.progress import Progress, silent

_BLOCK = 1 << 18
_MIB = 1 << 20
_STALL_S = 30
_ATTEMPTS = 4  # in a row without a single new byte
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_RANGE_NOT_SATISFIABLE = 416
_SERVER_ERROR = 500


class _InterruptedError(Exception):
    """The connection ended before the file did; another attempt may go on from there."""


def download(
    url: str,
    out: Path,
    sha256_prefix: str,
    *,
    progress: Progress = silent,
    pause_s: float = 1.0,
) -> str:
    """Download ``url`` to ``out`` and return the sha256, which starts with ``sha256_prefix``.

    What has come so far is kept in ``out`` + ``.part``, and the next call goes on from there. Only
    https is spoken, certificates checked, after redirects too; plain http to this very machine
    only. Once bytes have come, a lost connection is tried again, ``pause_s`` and then twice as long
    later. Raises ModelError on another digest, and then leaves nothing behind; DeviceError when the
    server cannot be reached or the disk is full.
    """
    part = out.with_name(f"{out.name}.part")
    failures = 0
    while True:
        before = _size(part)
        try:
            _continue(url, part, progress)
            break
        except _InterruptedError as error:
            failures = 0 if _size(part) > before else failures + 1
            if failures >= _ATTEMPTS or not _size(part):
                raise _gave_up(url, part, str(error)) from error
            time.sleep(pause_s * 2**failures)
    digest = sha256_file(part)
    if not digest.startswith(sha256_prefix):
        part.unlink()
        raise ModelError(
            f"{url}: sha256 {digest[:8]}…, expected {sha256_prefix}…: not kept",
            hint="run it again; if it stays, something between here and the server changes files",
        )
    with whole_file(out) as temporary:
        part.replace(temporary)
    return digest


def _continue(url: str, part: Path, progress: Progress) -> None:
    """Append to ``part`` what is missing."""
    start = _size(part)
    with _response(url, start) as response:
        if response is None:  # the server has nothing beyond what is here
            return
        if start and not _continues(response, start):
            start = 0
        length = response.headers.get("Content-Length")
        total = start + int(length) if length and length.isdecimal() else None
        done = start
        try:
            with part.open("ab" if start else "wb") as file:
                for block in _blocks(response):
                    file.write(block)
                    done += len(block)
                    progress("download (MiB)", done // _MIB, (total or done) // _MIB)
        except OSError as error:  # of the disk: those of the network are _InterruptedError
            raise disk_error(error, part) from error
    if total is not None and done < total:
        raise _InterruptedError(f"the connection closed after {done} of {total} bytes")


def _blocks(response: IO[bytes]) -> Generator[bytes]:
    while True:
        try:
            block = response.read(_BLOCK)
        except (OSError, http.client.HTTPException) as error:
            raise _InterruptedError(str(error) or type(error).__name__) from error
        if not block:
            return
        yield block


def _continues(response: http.client.HTTPResponse, start: int) -> bool:
    """Whether the answer begins where the part ends; a server may send the whole file instead."""
    content_range = response.headers.get("Content-Range", "")
    return bool(response.status == http.client.PARTIAL_CONTENT) and content_range.startswith(
        f"bytes {start}-"
    )


@contextmanager
def _response(url: str, start: int) -> Generator[http.client.HTTPResponse | None]:
    """The answer to a request for ``url`` from byte ``start`` on; None when there is no more."""
    if not (_is_secure(url) or _is_loopback(url)):
        raise _unsafe(url)
    headers = {"User-Agent": f"edgeresnet/{edgeresnet.__version__}"}
    if start:
        headers["Range"] = f"bytes={start}-"
    request = urllib.request.Request(url, headers=headers)  # noqa: S310  checked above
    opener = urllib.request.build_opener(
        _SafeRedirects, urllib.request.HTTPSHandler(context=ssl.create_default_context())
    )
    try:
        response = opener.open(request, timeout=_STALL_S)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == _RANGE_NOT_SATISFIABLE and start:
                response = None
            elif error.code >= _SERVER_ERROR:
                raise _InterruptedError(
                    f"the server answers {error.code} {error.reason}"
                ) from error
            else:
                raise DeviceError(
                    f"{url}: the server answers {error.code} {error.reason}",
                    hint="was the file moved? A newer edgeresnet may know its new place",
                ) from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise DeviceError(
                f"{url}: the server's certificate is not valid here: {reason.verify_message}",
                hint="is the clock right? Behind a company's proxy set SSL_CERT_FILE to its CA",
            ) from error
        said = getattr(reason, "strerror", "") or str(reason) or type(error).__name__
        raise _InterruptedError(said) from error
    if response is None:
        yield None
        return
    with response:
        yield response


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Redirects that stay on https."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """Follow ``newurl`` unless that would be plain http."""
        if not (_is_secure(newurl) or (_is_loopback(req.full_url) and _is_loopback(newurl))):
            fp.close()
            raise _unsafe(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _is_secure(url: str) -> bool:
    return urlsplit(url).scheme == "https"


def _is_loopback(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname in _LOOPBACK


def _unsafe(url: str) -> UsageError:
    parts = urlsplit(url)
    return UsageError(
        f"refused to download from {parts.scheme}://{parts.hostname}", hint="only https is safe"
    )


def _gave_up(url: str, part: Path, reason: str) -> DeviceError:
    host = cast("str", urlsplit(url).hostname)
    if size := _size(part):
        return DeviceError(
            f"{host}: {reason}; {size / _MIB:.1f} MiB are kept in {part}",
            hint="run the same command again: it goes on from there",
        )
    return DeviceError(
        f"cannot reach {host}: {reason}",
        hint=f"offline? Download {url} elsewhere and pass the file to edgeresnet convert",
    )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
