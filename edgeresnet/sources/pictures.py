"""Picture files as shots: one, a folder, or a glob."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from pathlib import Path

from edgeresnet.core.errors import EdgeError, UsageError
from edgeresnet.core.pictures import SUFFIXES, is_picture, read_picture
from edgeresnet.sources.shots import Lost, Shot, Shots

_HINT = f"pictures end in {' '.join(sorted(SUFFIXES))}"


def in_folder(folder: Path) -> list[Path]:
    """Pictures below ``folder``, sorted by path; hidden files and folders are left out."""
    found: list[Path] = []
    for parent, folders, names in os.walk(folder, onerror=_cannot_list):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(parent, name) for name in names]
    pictures = sorted(path for path in found if is_picture(path))
    if not pictures:
        raise UsageError(f"no pictures in {folder}", hint=_HINT)
    return pictures


def matching(pattern: str) -> list[Path]:
    """Pictures that the glob ``pattern`` names (``**`` for any depth), sorted by path."""
    found = [Path(name) for name in glob.iglob(pattern, recursive=True)]  # noqa: PTH207  takes absolute ones
    pictures = sorted(path for path in found if is_picture(path) and path.is_file())
    if not pictures:
        what = f"{len(found)} matches, none a picture" if found else "nothing matches"
        raise UsageError(f"{what}: {pattern}", hint=_HINT)
    return pictures


def pictures(paths: Sequence[Path], *, tell: bool = True) -> Shots:
    """Read every path; the unreadable ones come as lost, named in the log when ``tell``."""
    good, reason = 0, ""
    for path in paths:
        try:
            pixels = read_picture(path)
        except EdgeError as error:
            reason = error.what
            yield Lost("unreadable", reason if tell else "", str(path))
            continue
        good += 1
        yield Shot(pixels, str(path))
    if not good:
        raise UsageError(f"not one of {len(paths)} pictures can be read; the last: {reason}")


def _cannot_list(error: OSError) -> None:
    raise UsageError(f"cannot list {error.filename}: {error.strerror}") from error
