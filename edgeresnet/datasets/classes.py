"""Which class of the network a folder of pictures means: never a guess that goes unsaid."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeresnet.core.errors import UsageError
from edgeresnet.core.files import existing_file
from edgeresnet.core.labels import Labels
from edgeresnet.core.schema import nearest
from edgeresnet.datasets.pictures import Entry, Listing


@dataclass(frozen=True)
class LabelledEntry:
    """One picture and its true class."""

    entry: Entry
    class_id: int


@dataclass(frozen=True)
class LabelledSet:
    """Pictures with their true classes, and how those were found."""

    origin: Path
    entries: tuple[LabelledEntry, ...]
    mapping: str


def with_classes(listing: Listing, labels: Labels, class_map: Path | None = None) -> LabelledSet:
    """Give every picture of ``listing`` its class of the network, or say why it cannot be done."""
    if any(e.class_index is not None for e in listing.entries):
        return _from_csv(listing, labels)
    folders = sorted({e.folder for e in listing.entries})
    if "" in folders:
        loose = next(e.path.name for e in listing.entries if not e.folder)
        raise UsageError(
            f"{listing.origin}: {loose} lies in no class folder",
            hint="one folder a class, or a CSV file with the columns file,class_index",
        )
    ids, how = _match(folders, labels, class_map, listing.origin)
    entries = tuple(LabelledEntry(e, ids[e.folder]) for e in listing.entries)
    return LabelledSet(listing.origin, entries, how)


def _from_csv(listing: Listing, labels: Labels) -> LabelledSet:
    entries = []
    for entry in listing.entries:
        index = entry.class_index
        if index is None:
            raise UsageError(f"{listing.origin}: {entry.path.name} has no class_index")
        if index >= len(labels):
            raise UsageError(
                f"{listing.origin}: class_index {index} of {entry.path.name}, but the network has "
                f"{len(labels)} classes (0 to {len(labels) - 1})"
            )
        entries.append(LabelledEntry(entry, index))
    return LabelledSet(listing.origin, tuple(entries), "class_index column")


def _match(
    folders: list[str], labels: Labels, class_map: Path | None, origin: Path
) -> tuple[dict[str, int], str]:
    if class_map is not None:
        return _from_map(folders, labels, class_map), f"class map {class_map.name}"
    by_wordnet = {wordnet: i for i, wordnet in enumerate(labels.wordnet)}
    by_name = unique_names(labels)
    ways = {
        "WordNet ids": {f: by_wordnet[f] for f in folders if f in by_wordnet},
        "names": {f: by_name[plain_name(f)] for f in folders if plain_name(f) in by_name},
    }
    for how, found in ways.items():
        if len(found) == len(folders):
            return found, how
    best = max(ways.values(), key=len)
    if len(folders) == len(labels) and not best:
        return (
            {folder: i for i, folder in enumerate(folders)},
            "SORTED ORDER of the folder names (no name fits)",
        )
    stray = next(folder for folder in folders if folder not in best)
    same = sum(plain_name(name) == plain_name(stray) for name in labels.names)
    meaning = f"means {same} classes" if same > 1 else "is no class"
    raise UsageError(
        f"{origin}: folder {stray!r} {meaning} of this network "
        f"({len(best)} of {len(folders)} folders fit)",
        hint=f"{nearest(stray, labels.names[:2000])[:100]}; --class-map FILE says folder,class",
    )


def no_folder_is_a_class(listing: Listing, labels: Labels) -> bool:
    """Whether the folders mean something else: neither names nor ids, nor as many as classes."""
    if any(entry.class_index is not None for entry in listing.entries):
        return False
    folders = {entry.folder for entry in listing.entries}
    known = set(labels.wordnet) | {plain_name(name) for name in labels.names}
    return len(folders) != len(labels) and not any(
        folder in known or plain_name(folder) in known for folder in folders
    )


def plain_name(name: str) -> str:
    """A name without case and punctuation, for comparison."""
    return re.sub(r"[\W_]+", " ", name.casefold()).strip() or name


def unique_names(labels: Labels) -> Mapping[str, int]:
    """Plain name to class, of the names that mean one class only."""
    found: dict[str, list[int]] = {}
    for i, name in enumerate(labels.names):
        found.setdefault(plain_name(name), []).append(i)
    return {name: ids[0] for name, ids in found.items() if len(ids) == 1}


def _from_map(folders: list[str], labels: Labels, path: Path) -> dict[str, int]:
    ids = read_class_map(path, folders, labels)
    for folder in folders:
        if folder not in ids:
            raise UsageError(f"--class-map: {path} says nothing about folder {folder!r}")
    return ids


def read_class_map(path: Path, names: Sequence[str], labels: Labels) -> dict[str, int]:
    """Class of each of ``names`` that ``--class-map`` holds, by index or name.

    JSON ``{"folder": class}`` or CSV ``folder,class``.
    """
    existing_file(path, "--class-map")
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix == ".json":
            table = {str(k): str(v) for k, v in json.loads(text).items()}
        else:
            rows = [row for row in csv.reader(text.splitlines()) if row]
            table = {row[0].strip(): row[1].strip() for row in rows}
    except (ValueError, IndexError, AttributeError, RecursionError) as error:
        raise UsageError(
            f"--class-map: {path} is no table of folders and classes",
            hint='CSV lines "folder,class" or JSON {"folder": class}',
        ) from error
    by_name = unique_names(labels)
    ids = {}
    for name in names:
        value = table.get(name)
        if value is None:
            continue
        index = int(value) if value.isdecimal() else by_name.get(plain_name(value))
        if index is None or index >= len(labels):
            raise UsageError(
                f"--class-map: {path}: {name!r} is {value!r}, which is no class",
                hint=nearest(value, labels.names)[:120],
            )
        ids[name] = index
    return ids
