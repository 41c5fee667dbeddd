"""Passwords and tokens: given by reference, known to nobody who prints."""

from __future__ import annotations

import os
import re
import threading
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, quote_plus, unquote

from edgeresnet.core.errors import UsageError

HIDDEN = "***"
_LARGEST = 64 << 10
_SHORTEST = 4
"""A shorter secret is hidden where it stands in a URL, but not wherever its letters occur."""
_USERINFO = re.compile(r"(?<=://)[^\s/?#]+@(?=[^\s/?#@]*)")
_QUERY = re.compile(
    r"(?i)(?<=[?&#])(\w*(?:pass|pwd|token|secret|auth)\w*|(?:api_?)?key|sig(?:nature)?)="
    r"(?!(?:env|file|credential):|auto\b)[^\s&#\"']*"
)
"""A reference to a secret is none, and is what a hint may have to show."""

_lock = threading.Lock()
_known: set[str] = set()


@dataclass(frozen=True)
class Secret:
    """A text that never shows: ``repr`` and ``str`` are ``***``; :func:`redact` knows it."""

    _value: str = field(repr=False)

    def __post_init__(self) -> None:
        value = self._value
        if len(value) >= _SHORTEST:
            forms = {value, quote(value, safe=""), quote(value), quote_plus(value), unquote(value)}
            with _lock:
                _known.update(form for form in forms if len(form) >= _SHORTEST)

    def reveal(self) -> str:
        """The text itself, for whoever has to send it."""
        return self._value

    def __str__(self) -> str:
        return HIDDEN

    def __repr__(self) -> str:
        return HIDDEN


def secret_from(reference: str, what: str) -> Secret:
    """The secret that ``env:NAME``, ``file:PATH`` or ``credential:NAME`` refers to.

    The last is systemd's ``LoadCredential``. One line end at the end of a file is not part of it.
    Anything else, and what is absent or empty, is a usage error about ``what`` that does not
    repeat the text: it may be the secret itself.
    """
    kind, _, place = reference.partition(":")
    if kind == "env" and place:
        value = os.environ.get(place, "")
        if not value:
            raise UsageError(f"{what}: the environment has no {place}", hint=f"export {place}=…")
        return Secret(value)
    if kind == "file" and place:
        return Secret(_read(Path(place), what))
    if kind == "credential" and place:
        folder = os.environ.get("CREDENTIALS_DIRECTORY", "")
        if not folder:
            raise UsageError(
                f"{what}: credential:{place} needs systemd's LoadCredential",
                hint=f"LoadCredential={place}:/etc/edgeresnet/{place} in the unit",
            )
        return Secret(_read(Path(folder) / Path(place).name, what))
    raise UsageError(
        f"{what}: a secret is given by reference, never as it is",
        hint="env:NAME, file:PATH or credential:NAME",
    )


def _read(path: Path, what: str) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST)
        value = data.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError(f"{what}: cannot read {path}: {reason}") from error
    if not value:
        raise UsageError(f"{what}: {path} is empty")
    return value


def redact(text: str) -> str:
    """``text`` without secrets: known ones, and whatever looks like one in a URL."""
    with _lock:
        known = sorted(_known, key=len, reverse=True)
    for value in known:
        if value in text:
            text = text.replace(value, HIDDEN)
    text = _USERINFO.sub(f"{HIDDEN}@", text)
    return _QUERY.sub(rf"\1={HIDDEN}", text)
