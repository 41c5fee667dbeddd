"""Annotations in COCO's JSON form."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgeresnet.core.errors import UsageError
from edgeresnet.core.files import existing_file, is_there
from edgeresnet.datasets.annotated import AnnotatedSet, Box, Fault, Faults, each_once
from edgeresnet.datasets.picture_size import picture_size

Entry = dict[str, Any]


def read_coco(path: Path, images: Path, faults: Faults) -> AnnotatedSet:
    """Read ``instances.json``; its pictures lie in ``images``.

    ``bbox`` is left, top, width, height. A picture without boxes is kept: whatever a detector finds
    there is wrong.
    """
    table = _read(path)
    classes: list[str] = []
    class_of: dict[int, int] = {}
    for number, entry in _entries(table, "categories", path, faults):
        if not isinstance(entry.get("name"), str) or not _is_id(entry.get("id")):
            faults.add(Fault.MALFORMED, f"{path.name}: categories[{number}]")
        elif entry["id"] in class_of:
            faults.add(Fault.DUPLICATE_ID, f"{path.name}: category {entry['id']}")
        else:
            class_of[entry["id"]] = len(classes)
            classes.append(entry["name"])
    pictures: dict[int, Entry] = {}
    for number, entry in _entries(table, "images", path, faults):
        if not isinstance(entry.get("file_name"), str) or not _is_id(entry.get("id")):
            faults.add(Fault.MALFORMED, f"{path.name}: images[{number}]")
        elif entry["id"] in pictures:
            faults.add(Fault.DUPLICATE_ID, f"{path.name}: picture {entry['id']}")
        else:
            pictures[entry["id"]] = entry
    boxes = _boxes(table, path, class_of, pictures, faults)
    found = (
        (*picture, boxes.get(number, []))
        for number, entry in pictures.items()
        if (picture := _picture(entry, images, faults)) is not None
    )
    return AnnotatedSet(path, tuple(classes), each_once(found, faults), faults)


def _read(path: Path) -> Entry:
    existing_file(path, "--annotations")
    try:
        table = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"--annotations: {path} is not JSON: {error}"[:300]) from error
    lists = ("images", "annotations", "categories")
    missing = [key for key in lists if not isinstance(table, dict) or key not in table]
    wrong = [key for key in lists if key not in missing and not isinstance(table[key], list)]
    if missing or wrong:
        raise UsageError(
            f"--annotations: {path} has no list {(missing + wrong)[0]!r}",
            hint="COCO's instances form: images, annotations, categories",
        )
    found: Entry = table
    return found


def _entries(table: Entry, key: str, path: Path, faults: Faults) -> Iterator[tuple[int, Entry]]:
    """Position and entry of each object in a list; what is no object is a fault."""
    for number, entry in enumerate(table[key]):
        if isinstance(entry, dict):
            yield number, entry
        else:
            faults.add(Fault.MALFORMED, f"{path.name}: {key}[{number}]")


def _boxes(
    table: Entry,
    path: Path,
    class_of: dict[int, int],
    pictures: dict[int, Entry],
    faults: Faults,
) -> dict[int, list[Box]]:
    """The boxes of each picture, by its id."""
    boxes: dict[int, list[Box]] = defaultdict(list)
    seen: set[object] = set()
    for number, entry in _entries(table, "annotations", path, faults):
        own = entry.get("id")
        where = f"{path.name}: annotation {own if _is_id(own) else f'at {number}'}"
        try:
            x, y, width, height = (_number(value) for value in entry["bbox"])
            picture, category = entry["image_id"], entry["category_id"]
            crowd, *aside = (_flag(entry.get(key)) for key in ("iscrowd", "difficult", "ignore"))
        except (KeyError, TypeError, ValueError):
            faults.add(Fault.MALFORMED, where)
            continue
        if _is_id(own):
            if own in seen:
                faults.add(Fault.DUPLICATE_ID, where)
            seen.add(own)
        if not _is_id(picture) or picture not in pictures:
            faults.add(Fault.UNKNOWN_PICTURE, f"{where}: picture {picture!r}")
        elif not _is_id(category) or category not in class_of:
            faults.add(Fault.UNKNOWN_CLASS, f"{where}: category {category!r}")
        else:
            xyxy = (x, y, x + width, y + height)
            boxes[picture].append(Box(xyxy, class_of[category], where, crowd, any(aside)))
    return boxes


def _picture(entry: Entry, images: Path, faults: Faults) -> tuple[Path, tuple[int, int]] | None:
    """File and size of a picture, where it is there and readable."""
    name = Path(entry["file_name"])
    inside = not name.is_absolute() and ".." not in name.parts
    path = next(
        (p for p in (images / name, images / name.name) if inside and is_there(p)), images / name
    )
    if not inside or not is_there(path):
        faults.add(Fault.MISSING_PICTURE, str(name))
        return None
    try:
        size = picture_size(path)
    except UsageError as error:
        faults.add(Fault.UNREADABLE_PICTURE, error.what)
        return None
    said = entry.get("width"), entry.get("height")
    if said != size:
        sizes = f"{said[0]} x {said[1]} said, {size[0]} x {size[1]} found"
        faults.add(Fault.WRONG_SIZE, f"{name}: {sizes}")
    return path, size


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _flag(value: object) -> bool:
    """Yes or no as files say it; where they say nothing, no."""
    if value is not None and value not in (0, 1):
        raise TypeError(f"{value!r} is neither 0 nor 1")
    return bool(value)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{value!r} is no number")
    try:
        return float(value)
    except OverflowError:  # an integer of hundreds of digits
        return float("inf")
