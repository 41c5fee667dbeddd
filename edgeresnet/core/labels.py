"""The names of a network's classes, in the order of its outputs."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeresnet.core.errors import UsageError
from edgeresnet.core.files import existing_file

_WORDNET = re.compile(r"n\d{8}")


@dataclass(frozen=True)
class Labels:
    """Class names; ``wordnet`` is empty or holds one id (``n01440764``) a class."""

    names: tuple[str, ...]
    wordnet: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.wordnet and len(self.wordnet) != len(self.names):
            raise ValueError(f"{len(self.names)} names but {len(self.wordnet)} WordNet ids")

    def __len__(self) -> int:
        return len(self.names)

    def to_json(self) -> str:
        """One line of JSON that :meth:`from_json` reads back."""
        return json.dumps({"names": self.names, "wordnet": self.wordnet})

    @staticmethod
    def from_json(text: str) -> Labels:
        """Read what :meth:`to_json` wrote."""
        data = json.loads(text)
        return Labels(tuple(data["names"]), tuple(data["wordnet"]))


def numbered(count: int) -> Labels:
    """Names for a network whose class names nobody gave."""
    return Labels(tuple(f"class {i}" for i in range(count)))


def read_labels(path: Path) -> Labels:
    """Read ``--classes FILE``.

    A text file with one class a line, a WordNet id in front or not; or JSON: a list of names, or
    Keras' ``{"0": ["n01440764", "tench"], ...}``.
    """
    existing_file(path, "--classes")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"--classes: {path} is not a text file") from error
    entries = _json_entries(text, path) if path.suffix == ".json" else text.splitlines()
    lines = [entry.strip() for entry in entries]
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        raise UsageError(f"--classes: {path} holds no names")
    if "" in lines:
        raise UsageError(f"--classes: {path}: line {lines.index('') + 1} is empty")
    parts = [line.split(maxsplit=1) for line in lines]
    if all(_WORDNET.fullmatch(part[0]) for part in parts):
        names = tuple(part[-1] for part in parts)
        return Labels(names, tuple(part[0] for part in parts))
    return Labels(tuple(lines))


def _json_entries(text: str, path: Path) -> list[str]:
    try:
        data = json.loads(text)
        if isinstance(data, dict):
            data = [data[str(i)] for i in range(len(data))]
        entries: list[Any] = data if isinstance(data, list) else [None]  # which is no name
        return [" ".join(entry if isinstance(entry, list) else [entry]) for entry in entries]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageError(
            f"--classes: {path}: not a list of names", hint='["cat", "dog"] or {"0": "cat", ...}'
        ) from error
