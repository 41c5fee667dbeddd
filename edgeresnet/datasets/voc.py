"""Annotations in Pascal VOC's form: one XML file a picture."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

from edgeresnet.core.errors import UsageError
from edgeresnet.core.files import is_there
from edgeresnet.core.pictures import SUFFIXES
from edgeresnet.datasets.annotated import Annotated, AnnotatedSet, Box, Fault, Faults, each_once
from edgeresnet.datasets.picture_size import picture_size

CORNERS = ("xmin", "ymin", "xmax", "ymax")
_LARGEST_BYTES = 20_000_000
_ENTITIES = (b"<!DOCTYPE", b"<!ENTITY")


def voc_root(folder: Path) -> Path | None:
    """The folder, or the one in it, that holds ``JPEGImages`` and ``Annotations``.

    UsageError where it holds several, as of different years.
    """
    try:
        below = sorted(path for path in folder.iterdir() if path.is_dir())
    except OSError:
        return None
    found = [
        path
        for path in (folder, *below)
        if (path / "JPEGImages").is_dir() and (path / "Annotations").is_dir()
    ]
    if folder in found:
        return folder
    if len(found) > 1:
        raise UsageError(
            f"{folder} holds {len(found)} Pascal VOC folders: "
            f"{', '.join(path.name for path in found)}",
            hint="name one of them",
        )
    return found[0] if found else None


def read_voc(xml: Path, images: Path, faults: Faults, chosen: Path | None = None) -> AnnotatedSet:
    """Read the XML files of the folder ``xml``; the pictures of those names lie in ``images``.

    ``chosen`` is a list as in ``ImageSets/Main``: one name a line. Corners in the files are pixels
    counted from 1, both within the box, so that a box from 1 to 10 is ten pixels wide: it becomes 0
    to 10. One that ends where it starts is a click of the mouse and counts as without area.
    """
    names = _names(xml, chosen)
    classes: dict[str, int] = {}
    found = (_picture(xml / f"{name}.xml", images, classes, faults) for name in names)
    kept = each_once((picture for picture in found if picture is not None), faults)
    order = sorted(classes)
    places = {classes[name]: place for place, name in enumerate(order)}
    pictures = tuple(_renumbered(picture, places) for picture in kept)
    return AnnotatedSet(chosen or xml, tuple(order), pictures, faults)


def _names(xml: Path, chosen: Path | None) -> list[str]:
    if chosen is None:
        found = sorted(path.stem for path in xml.glob("*.xml"))
        if not found:
            raise UsageError(f"--annotations: no .xml files in {xml}")
        return found
    return listed_names(chosen)


def listed_names(chosen: Path) -> list[str]:
    """The names of the pictures that a list as in ``ImageSets/Main`` holds, each once."""
    try:
        lines = chosen.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--annotations: cannot read {chosen}: {error}") from error
    # lists of one class carry 1, 0 or -1 behind the name
    names = [line.split()[0] for line in lines if line.strip()]
    if not names:
        raise UsageError(f"--annotations: {chosen} names no pictures")
    stray = next((name for name in names if Path(name).name != name), None)
    if stray is not None:
        raise UsageError(f"--annotations: {chosen}: {stray!r} is no name of a picture")
    return list(dict.fromkeys(names))


def _picture(
    path: Path, images: Path, classes: dict[str, int], faults: Faults
) -> tuple[Path, tuple[int, int], list[Box]] | None:
    if not is_there(path):
        faults.add(Fault.MISSING_FILE, path.name)
        return None
    root = _read(path, faults)
    if root is None:
        return None
    picture = _find(images, path.stem, root.findtext("filename") or "")
    if picture is None:
        faults.add(Fault.MISSING_PICTURE, f"{path.stem} of {path.name}")
        return None
    try:
        size = picture_size(picture)
    except UsageError as error:
        faults.add(Fault.UNREADABLE_PICTURE, error.what)
        return None
    said = tuple((root.findtext(f"size/{side}") or "").strip() for side in ("width", "height"))
    if said != (str(size[0]), str(size[1])):
        sizes = f"{said[0] or '?'} x {said[1] or '?'} said, {size[0]} x {size[1]} found"
        faults.add(Fault.WRONG_SIZE, f"{path.name}: {sizes}")
    return picture, size, list(_boxes(root, path, classes, faults))


def _read(path: Path, faults: Faults) -> ET.Element | None:
    reason = ""
    try:
        data = path.read_bytes() if path.stat().st_size <= _LARGEST_BYTES else _ENTITIES[0]
        if any(mark in data for mark in _ENTITIES):
            reason = "is no plain list of boxes"
        else:
            root = ET.fromstring(data)  # noqa: S314  there are no entities to expand
            if root.tag == "annotation":
                return root
            reason = f"is <{root.tag}>, not <annotation>"
    except (OSError, ValueError, LookupError, ET.ParseError) as error:  # no such encoding
        reason = str(error)
    faults.add(Fault.BROKEN_FILE, f"{path.name}: {reason}")
    return None


def _find(images: Path, stem: str, said: str) -> Path | None:
    """The picture of the file's own name, else the one that it names."""
    for suffix in (".jpg", *sorted(SUFFIXES - {".jpg"})):
        for spelled in (suffix, suffix.upper()):
            if is_there(path := images / f"{stem}{spelled}"):
                return path
    name = Path(said.strip()).name
    return images / name if name and is_there(images / name) else None


def _boxes(root: ET.Element, path: Path, classes: dict[str, int], faults: Faults) -> Iterator[Box]:
    for number, thing in enumerate(root.findall("object"), start=1):
        name = (thing.findtext("name") or "").strip()
        where = f"{path.name}, object {number} ({name or 'no name'})"
        try:
            x0, y0, x1, y1 = (float(thing.findtext(f"bndbox/{key}") or "") for key in CORNERS)
        except ValueError:
            faults.add(Fault.MALFORMED, where)
            continue
        if not name:
            faults.add(Fault.MALFORMED, where)
            continue
        if x1 == x0 or y1 == y0:
            faults.add(Fault.ZERO_AREA, f"{where}: {x0:g}, {y0:g}, {x1:g}, {y1:g}")
            continue
        if x1 < x0 or y1 < y0:
            faults.add(Fault.NEGATIVE_SIZE, f"{where}: {x0:g}, {y0:g}, {x1:g}, {y1:g}")
            continue
        class_id = classes.setdefault(name, len(classes))
        difficult = (thing.findtext("difficult") or "").strip() == "1"
        yield Box((x0 - 1, y0 - 1, x1, y1), class_id, where, difficult=difficult)


def _renumbered(picture: Annotated, places: dict[int, int]) -> Annotated:
    ids = picture.class_ids.copy()
    for old, new in places.items():
        ids[picture.class_ids == old] = new
    return Annotated(
        picture.path, picture.size, picture.boxes, ids, picture.crowd, picture.difficult
    )
