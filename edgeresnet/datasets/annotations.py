"""``--annotations``: which form it has, and which class of the network each of its names means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgeresnet.core.errors import UsageError
from edgeresnet.core.files import is_there
from edgeresnet.core.labels import Labels
from edgeresnet.core.schema import nearest
from edgeresnet.datasets.annotated import Annotated, AnnotatedSet, Fault, Faults
from edgeresnet.datasets.classes import plain_name, read_class_map
from edgeresnet.datasets.coco import read_coco
from edgeresnet.datasets.pictures import Listing
from edgeresnet.datasets.voc import listed_names, read_voc, voc_root

ALIASES: Mapping[str, str] = {
    "tvmonitor": "tv",
    "television": "tv",
    "aeroplane": "airplane",
    "motorbike": "motorcycle",
    "sofa": "couch",
    "cellphone": "mobilephone",
    "doughnut": "donut",
    "hairdryer": "hairdrier",
}
"""Names without spaces that mean the same in VOC, COCO and Open Images."""


def read_annotations(
    images: Path,
    annotations: Path | None = None,
    *,
    strict: bool = False,
    option: str = "--images",
) -> AnnotatedSet:
    """The annotated pictures of ``images``, which ``option`` named, and of ``--annotations``.

    - a COCO file ``instances.json``, its pictures in ``images``;
    - a folder of VOC's XML files, the pictures in ``images``;
    - none: ``images`` is a VOC folder (``JPEGImages``, ``Annotations``), or the only one in it;
    - a ``.txt`` list of ``ImageSets/Main``: those pictures of the VOC folder ``images``.

    ``class_ids`` of the result index the set's own ``classes``; see :func:`for_labels`. With
    ``strict`` the first fault is a :class:`UsageError`, else each is counted.
    """
    faults = Faults(strict)
    if is_there(images):
        raise UsageError(
            f"{option}: {images} is a file, annotated pictures are looked for in a folder",
            hint="the folder that they lie in; --annotations says which of them count",
        )
    if not images.is_dir():
        raise UsageError(f"{option}: no such folder: {images}")
    root = voc_root(images)
    if annotations is not None and not _is_list(annotations):
        if annotations.is_dir():
            found = read_voc(annotations, images if root is None else root / "JPEGImages", faults)
        elif annotations.suffix.lower() == ".xml":
            raise UsageError(
                f"--annotations: {annotations} is one file of many", hint="name its folder"
            )
        else:
            found = read_coco(annotations, images, faults)
    elif root is not None:
        found = read_voc(root / "Annotations", root / "JPEGImages", faults, annotations)
    else:
        raise UsageError(
            f"--annotations: none given, and {images} is no Pascal VOC folder",
            hint="--annotations instances.json, or a folder of .xml files; "
            f"or {option} with JPEGImages/ and Annotations/ in it",
        )
    if not found.pictures:
        faulty = next(iter(faults.first.items()), None)
        why = f": {faulty[0].words}: {faulty[1]}" if faulty else ""
        raise UsageError(f"--annotations: {found.origin} has no usable picture{why}")
    return found


def is_annotated(images: Path) -> bool:
    """Whether ``--images`` holds its annotations itself, as Pascal VOC's folders do."""
    return voc_root(images) is not None


def listed(listing: Listing, annotations: Path | str | None) -> Listing:
    """Of a VOC folder's pictures those that ``--annotations`` names, where that is a list."""
    if annotations is None or not _is_list(Path(annotations)) or not is_annotated(listing.origin):
        return listing
    names = set(listed_names(Path(annotations)))
    entries = tuple(entry for entry in listing.entries if entry.path.stem in names)
    if not entries:
        raise UsageError(f"--annotations: no picture of {annotations} is in {listing.origin}")
    return replace(listing, entries=entries)


def _is_list(annotations: Path) -> bool:
    return annotations.suffix.lower() == ".txt"


def for_labels(
    found: AnnotatedSet, labels: Labels, class_map: Path | None = None
) -> tuple[AnnotatedSet, str]:
    """The set with the class ids of ``labels``, and in words how names became classes.

    Names are compared without case, spaces and punctuation, and by :data:`ALIASES`; ``class_map``
    decides for the names that it holds. Boxes of other classes are counted and left out.
    """
    chosen = {} if class_map is None else read_class_map(class_map, found.classes, labels)
    known = _by_key(labels)
    ids = [chosen.get(name, known.get(_key(name), -1)) for name in found.classes]
    if all(index < 0 for index in ids):
        first = found.classes[0] if found.classes else ""
        raise UsageError(
            f"--annotations: no class of {found.origin} is one of the network, such as {first!r}",
            hint=f"{nearest(first, labels.names[:2000])[:100]}; --class-map FILE says name,class",
        )
    new = np.array(ids, np.int64)
    pictures = tuple(_with_ids(picture, new, found) for picture in found.pictures)
    names = f"names, {sum(index >= 0 for index in ids)} of {len(ids)}"
    how = names if class_map is None else f"class map {class_map.name} and {names}"
    return replace(found, classes=labels.names, pictures=pictures), how


def _by_key(labels: Labels) -> dict[str, int]:
    """Key to class, of the keys that mean one class only (N/A of COCO's 91 means many)."""
    keys = [_key(name) for name in labels.names]
    return {key: place for place, key in enumerate(keys) if keys.count(key) == 1}


def _key(name: str) -> str:
    joined = plain_name(name).replace(" ", "")
    return ALIASES.get(joined, joined)


def _with_ids(picture: Annotated, new: npt.NDArray[np.int64], found: AnnotatedSet) -> Annotated:
    ids = new[picture.class_ids]
    for old in picture.class_ids[ids < 0].tolist():
        found.faults.add(Fault.UNKNOWN_CLASS, f"{picture.path.name}: {found.classes[old]!r}")
    keep = ids >= 0
    return Annotated(
        picture.path,
        picture.size,
        picture.boxes[keep],
        ids[keep],
        picture.crowd[keep],
        picture.difficult[keep],
    )
