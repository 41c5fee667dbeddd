"""A ``[[source]]`` or ``[[sink]]`` table of the run configuration as one whole URI."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any, TypeAlias
from urllib.parse import parse_qsl, quote, unquote

from pydantic import ConfigDict, Field, PlainValidator

from edgeresnet.core.errors import ProfileError, UsageError
from edgeresnet.core.region import RegionSpec
from edgeresnet.core.schema import Schema, parse
from edgeresnet.sinks import parse_sink
from edgeresnet.sources import parse_source

_NAME = r"^[a-zA-Z0-9_-]{1,64}$"
_PLAIN_SINKS = frozenset({"csv", "jsonl"})
_ONE_RUN_SINKS = frozenset({"images", "video"})
"""Their place is a file name, ``?`` and all; they take no options."""
_USER = re.compile(r"://[^/?#]*@")
_MISTYPED_USER = re.compile(r"[A-Za-z]+:/?[^/?#]+:[^/?#]*@")
_SECRET_KEY = re.compile(r"(?i)pass|pwd|login|token|secret|auth|api_?key|sig(nature)?$")
_REFERENCE = re.compile("(env|credential):")
_BY_REFERENCE = 'auth = "env:NAME", "file:PATH" or "credential:NAME"'


def _scalar(value: object) -> object:
    """Plain, since pydantic tells of a union once for each of its kinds."""
    if isinstance(value, (str, bool, int)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise ValueError("a text, a number, true or false is needed")


def _number(value: object) -> object:
    if isinstance(value, (str, bool)):
        raise ValueError("a number is needed")  # noqa: TRY004  pydantic lets a TypeError through
    return _scalar(value)


Scalar: TypeAlias = Annotated[str | int | float | bool, PlainValidator(_scalar)]
Number: TypeAlias = Annotated[int | float, PlainValidator(_number)]


class Table(Schema):
    """A table of the file, where ``"5"`` is no number."""

    model_config = ConfigDict(strict=True)


class _Source(Table):
    uri: str = Field(min_length=1)
    name: str | None = Field(None, pattern=_NAME)
    roi: tuple[Number, Number, Number, Number] | None = Field(None, strict=False)
    auth: str | None = None
    fps: float | None = Field(None, gt=0, le=10_000)
    stall_s: float | None = Field(None, gt=0, le=3600)


class _Sink(Table):
    uri: str = Field(min_length=1)
    auth: str | None = None
    token: str | None = None
    options: dict[Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,63}$")], Scalar] = {}


@dataclass(frozen=True)
class WholeUri:
    """What the command line would be given."""

    what: str
    """The file and the table, as messages name them."""
    text: str
    references: Mapping[str, str] = field(default_factory=dict)
    """Option to the reference to a secret that it holds."""
    name: str = ""


@contextmanager
def about(what: str) -> Iterator[None]:
    """Say of which table something is wrong."""
    try:
        yield
    except UsageError as error:
        raise ProfileError(f"{what}: {error.what}", hint=error.hint) from None


def source_uri(table: dict[str, Any], file: str, number: int) -> WholeUri:
    """The URI of a source; ``number`` counts from 1."""
    name = table.get("name")
    known = isinstance(name, str) and re.fullmatch(_NAME, name)
    what = f"{file}: [[source]] {number}" + (f" ({name})" if known else "")
    entry = parse(_Source, table, what, hide=True)
    with about(f"{what}: uri"):
        parsed = parse_source(entry.uri)
    _check_no_secret(entry.uri, what, ours={"auth"}, file=parsed.scheme == "file")
    roi = None if entry.roi is None else ",".join(map(_text, entry.roi))
    if roi is not None:
        RegionSpec.of(roi, what)
    options = {
        "name": ("as", entry.name),
        "roi": ("roi", roi),
        "auth": ("auth", entry.auth),
        "fps": ("fps", None if entry.fps is None else f"{entry.fps:.10g}"),
        "stall_s": ("stall", None if entry.stall_s is None else f"{entry.stall_s:.10g}"),
    }
    given = {option: value for option, value in options.values() if value is not None}
    _check_once(given, parsed.options, what)
    # a ? in the name of a file belongs to it
    more = bool(parsed.options) or ("?" in entry.uri and parsed.scheme != "file")
    text = _with_query(entry.uri, given, more=more, safe=",:")
    with about(f"{what}: uri"):
        taken = parse_source(text).options
    for key, (option, _) in options.items():
        if option in given and taken.get(option) != given[option]:
            raise ProfileError(
                f"{what}: {key}: {parsed.scheme}:// takes none",
                hint="[run] fps limits every source" if key == "fps" else "",
            )
    auth = {"auth": taken["auth"]} if "auth" in taken else {}
    return WholeUri(what, text, auth, taken.get("as", ""))


def sink_uri(table: dict[str, Any], file: str, number: int) -> WholeUri:
    """The URI of a sink; ``number`` counts from 1."""
    what = f"{file}: [[sink]] {number}"
    entry = parse(_Sink, table, what, hide=True)
    with about(f"{what}: uri"):
        parsed = parse_sink(entry.uri)
    what = f"{what} ({parsed.scheme})"
    _check_no_secret(entry.uri, what, ours={"auth", "token"})
    held = {"auth": entry.auth, "token": entry.token}
    given = {key: value for key, value in held.items() if value is not None}
    _check_once(given, entry.options, what)
    options = {key: _text(value) for key, value in (given | entry.options).items()}
    if parsed.scheme in _ONE_RUN_SINKS:
        raise ProfileError(
            f"{what}: {parsed.scheme}: is of one run, and refuses what the run before has written",
            hint="a service is started again and again: jsonl:, csv:, web:, mqtt: or webhook:",
        )
    if parsed.scheme in _PLAIN_SINKS:
        for key in options:
            raise ProfileError(f"{what}: {key}: {parsed.scheme}: takes none")
        return WholeUri(what, entry.uri)
    written = dict(parse_qsl(entry.uri.partition("?")[2], keep_blank_values=True))
    _check_once(options, written, what)
    text = _with_query(entry.uri, options, more="?" in entry.uri, safe=",:/")
    references = {
        key: value
        for key, value in (written | options).items()
        if key == "auth" or (key == "token" and value != "auto") or _REFERENCE.match(value)
    }
    return WholeUri(what, text, references)


def _check_no_secret(uri: str, what: str, *, ours: set[str], file: bool = False) -> None:
    """Refuse what everybody who reads the file would know, without repeating it."""
    plain = unquote(uri)
    if (_USER.search(plain) and not file) or _MISTYPED_USER.match(plain):
        raise ProfileError(f"{what}: uri: a user or a password is in it", hint=_BY_REFERENCE)
    for key, found, _ in (part.partition("=") for part in re.split("[?&#;]", uri)[1:]):
        if found and unquote(key) not in ours and _SECRET_KEY.search(unquote(key)):
            raise ProfileError(
                f"{what}: uri: a password or a token is in its query", hint=_BY_REFERENCE
            )


def _check_once(given: Mapping[str, object], there: Mapping[str, object], what: str) -> None:
    for key in given:
        if key in there:
            raise ProfileError(f"{what}: {key} is given twice", hint="leave one of them out")


def _with_query(uri: str, options: Mapping[str, str], *, more: bool, safe: str) -> str:
    """Percent-encoded, since some who read it take ``+`` for a space."""
    query = "&".join(f"{key}={quote(value, safe=safe)}" for key, value in options.items())
    start = "?" if not more else "" if uri.endswith(("?", "&")) else "&"
    return f"{uri}{start}{query}" if query else uri


def _text(value: Scalar) -> str:
    """Numbers as they were written: 5 stays whole, 1.0 keeps its point, none has an exponent."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return format(Decimal(repr(value)), "f")
    return str(int(value))
