"""Find the pictures that a folder or a CSV file names."""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeresnet.core.errors import UsageError
from edgeresnet.core.files import existing_file, is_there
from edgeresnet.core.pictures import is_picture, read_picture
from edgeresnet.core.preprocess import Preprocess, fit
from edgeresnet.core.tensors import Pixels
from edgeresnet.datasets.voc import voc_root


@dataclass(frozen=True)
class Entry:
    """One picture file, and the class that its folder or its CSV row gives it."""

    path: Path
    folder: str = ""
    """Name of the class folder, or empty."""
    class_index: int | None = None
    """From a CSV file, or ``None``."""

    @property
    def class_key(self) -> str:
        """What pictures of one class share; empty without a class."""
        return self.folder or ("" if self.class_index is None else str(self.class_index))


@dataclass(frozen=True)
class Listing:
    """The picture files found at ``origin``."""

    origin: Path
    entries: tuple[Entry, ...]

    @property
    def has_classes(self) -> bool:
        """Whether every picture came with a class of some form."""
        return all(entry.class_key for entry in self.entries)


def list_pictures(origin: Path, option: str) -> Listing:
    """The pictures of ``--images DIR|CSV``: found, not yet read.

    A folder: all pictures in it and below, class folders being those directly below it; a Pascal
    VOC folder: those in its ``JPEGImages``, not the masks. A CSV: the column ``file``, relative to
    the CSV or to ``images/`` beside it, and ``class_index`` if there.
    """
    try:
        is_folder, exists = origin.is_dir(), origin.exists()
    except OSError as error:
        raise UsageError(f"{option}: cannot read {origin}: {error.strerror}") from error
    if is_folder:
        entries = tuple(_in_folder(origin))
    elif origin.suffix.lower() == ".csv":
        entries = tuple(_in_csv(existing_file(origin, option), option))
    elif not exists:
        raise UsageError(f"{option}: no such folder or CSV file: {origin}")
    else:
        raise UsageError(f"{option}: {origin} is neither a folder nor a CSV file")
    if not entries:
        raise UsageError(f"{option}: no pictures in {origin}", hint=".jpg .png .bmp .webp .tif")
    return Listing(origin, entries)


def _in_folder(origin: Path) -> Iterator[Entry]:
    root = voc_root(origin)
    top = origin if root is None else root / "JPEGImages"
    try:
        paths = sorted(path for path in _walk(top) if is_picture(path) and path.is_file())
    except OSError as error:
        raise UsageError(f"cannot read folder {origin}: {error.strerror}") from error
    for path in paths:
        inside = path.relative_to(top).parts
        yield Entry(path, inside[0] if len(inside) > 1 else "")


def _walk(origin: Path) -> Iterator[Path]:
    """Every file in and below a folder, links to folders followed, each real folder once."""
    seen: set[str] = set()
    for folder, inside, files in os.walk(origin, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            inside.clear()
            continue
        seen.add(real)
        yield from (Path(folder) / name for name in files)


def _in_csv(path: Path, option: str) -> Iterator[Entry]:
    for line, row in _rows(path, option):
        where = f"{option}: {path}, line {line}"
        name, text = row.get("file", ""), row.get("class_index", "")
        found = next(
            (p for p in (path.parent / name, path.parent / "images" / name) if is_there(p)), None
        )
        if found is None:
            raise UsageError(f"{where}: no such file: {name!r}")
        if text and not text.isdecimal():
            raise UsageError(f"{where}: class_index {text!r}")
        yield Entry(found, class_index=int(text) if text else None)


def _rows(path: Path, option: str) -> list[tuple[int, dict[str, str]]]:
    """Line number and cells by column; a spreadsheet's semicolons and tabs part them as well."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        first = lines[0] if lines else ""
        mark = next((m for m in (",", ";", "\t") if m in first), ",")
        table = csv.reader(lines, delimiter=mark, skipinitialspace=True)
        head = [name.strip() for name in next(table, [])]
        rows = [(table.line_num, [cell.strip() for cell in row]) for row in table if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{option}: {path} is not a CSV text file: {error}") from error
    if "file" not in head:
        raise UsageError(
            f"{option}: {path} has no column 'file'", hint="first line: file,class_index"
        )
    return [(line, dict(zip(head, row, strict=False))) for line, row in rows]


def digest(path: Path) -> str:
    """Content digest of a picture file: what makes two pictures the same picture.

    A file that cannot be read is like no other; reading it as a picture says why.
    """
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return f"unreadable {path}"


def choose(items: Sequence[Entry], count: int, seed: int) -> list[Entry]:
    """At most ``count`` of ``items``, seeded, balanced over the classes where there are any."""
    rng = np.random.default_rng(seed)
    groups: dict[str, list[Entry]] = {}
    for item in items:
        groups.setdefault(item.class_key, []).append(item)
    queues = [[group[i] for i in rng.permutation(len(group))] for group in groups.values()]
    queues = [queues[i] for i in rng.permutation(len(queues))]
    chosen: list[Entry] = []
    while queues and len(chosen) < count:
        for queue in queues:
            if len(chosen) < count:
                chosen.append(queue.pop())
        queues = [queue for queue in queues if queue]
    return chosen


@dataclass
class Unreadable:
    """The pictures that could not be decoded, with the reason."""

    reasons: dict[Path, str]

    def raise_if_all(self, read: int, option: str) -> None:
        """An error when not one picture could be read."""
        if not read:
            first = next(iter(self.reasons.values()), "no pictures")
            raise UsageError(f"{option}: none of {len(self.reasons)} pictures is readable: {first}")


def fitted(
    entries: Iterable[Entry], preprocess: Preprocess, unreadable: Unreadable
) -> Iterator[tuple[Entry, Pixels]]:
    """Each readable picture, resized and cropped; the others are noted in ``unreadable``."""
    for entry in entries:
        try:
            pixels = read_picture(entry.path)
        except UsageError as error:
            unreadable.reasons[entry.path] = error.what
            continue
        yield entry, fit(pixels, preprocess)
