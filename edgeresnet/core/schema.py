"""Strict reading of the files that cross a boundary: a wrong key is an error with a suggestion."""

from __future__ import annotations

import difflib
import json
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from edgeresnet.core.errors import EdgeError, ProfileError, UsageError
from edgeresnet.core.secrets import redact

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


_LARGEST_TOML = 256 << 10
_DEEP_KEY = re.compile(r"""(?<![\w-])(?:(?:[\w-]+|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*){20}""")
"""``a.a.a.…``: the time that tomllib takes for such a key grows with the square of its length."""


class Schema(BaseModel):
    """A frozen value read from a file; unknown keys, NaN and infinities are refused."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, protected_namespaces=()
    )


S = TypeVar("S", bound=Schema)


def nearest(word: str, known: Iterable[str]) -> str:
    """The hint for a word that is not one of ``known``."""
    names = list(known)
    close = difflib.get_close_matches(word, names, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names)}"


def parse(
    schema: type[S],
    data: Mapping[str, Any],
    what: str,
    error: type[EdgeError] = ProfileError,
    *,
    hide: bool = False,
) -> S:
    """Build ``schema`` from ``data``; the first thing wrong becomes ``error`` about ``what``.

    An unknown key comes before a missing one: it is how the missing one was misspelt. ``hide``
    keeps values out of the message, and what caused it: one of them may be a secret.
    """
    try:
        return schema.model_validate(data)
    except ValidationError as caught:
        wrong = caught.errors()
        first = next((one for one in wrong if one["type"] == "extra_forbidden"), wrong[0])
        where = ".".join(str(part) for part in first["loc"])
        cause = None if hide else caught
        if first["type"] == "extra_forbidden":
            hint = nearest(str(first["loc"][-1]), _keys(schema, first["loc"][:-1]))
            raise error(f"{what}: unknown key {where!r}", hint=hint) from cause
        if first["type"] == "missing":
            raise error(f"{what}: missing {where!r}") from cause
        told = f"{what}: {where or 'value'}: {first['msg']}"
        told += "" if hide else f", got {redact(repr(first.get('input')))[:60]}"
        raise error(told) from cause


def _keys(schema: type[BaseModel], where: tuple[int | str, ...]) -> Iterable[str]:
    """The keys that may stand at ``where``."""
    for part in where:
        found = schema.model_fields.get(str(part))
        inner = found.annotation if found is not None else None
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            schema = inner
    return schema.model_fields


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """The table in a TOML file of at most 256 kB."""
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST_TOML + 1)
        if len(data) > _LARGEST_TOML:
            raise ProfileError(f"{what}: {path} is larger than {_LARGEST_TOML >> 10} kB")
        text = data.decode("utf-8")
        if _DEEP_KEY.search(text):
            raise ProfileError(f"{what}: not valid TOML: a key of more than 20 parts")
        return tomllib.loads(text)
    except FileNotFoundError as error:
        raise UsageError(f"{what}: no such file: {path}") from error
    except (ValueError, RecursionError) as error:  # not TOML, not UTF-8, or a number too long
        raise ProfileError(f"{what}: not valid TOML: {error}") from error
    except OSError as error:
        raise UsageError(f"{what}: cannot read {path}: {error.strerror}") from error


def read_json(
    text: str | bytes, what: str, error: type[EdgeError] = ProfileError
) -> dict[str, Any]:
    """The object in a JSON text."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as caught:  # not JSON, not UTF-8, or a number too long
        raise error(f"{what}: not valid JSON: {caught}") from caught
    if not isinstance(data, dict):
        raise error(f"{what}: a JSON object is needed, got {type(data).__name__}")
    return data
