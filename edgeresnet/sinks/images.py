"""``images:FOLDER``: one annotated JPEG for each frame, each whole when it appears."""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import cv2

from edgeresnet.core.errors import UsageError
from edgeresnet.core.files import disk_error
from edgeresnet.core.frames import Frame
from edgeresnet.core.predictions import Prediction
from edgeresnet.sinks import Terms
from edgeresnet.sinks.draw import annotate

_QUALITY = 92


@dataclass(frozen=True)
class ImagesSink:
    """Names each file after the picture it came from, or ``SOURCE-000017.jpg``.

    A second picture of the same name keeps its frame number: ``cat-000017.jpg``.
    """

    folder: Path
    taken: dict[str, tuple[str, str]] = field(default_factory=dict)
    """File name to the source and picture it was taken by."""

    def put(self, frame: Frame, prediction: Prediction) -> None:
        """Draw, encode and write one frame."""
        pixels = annotate(frame.pixels, prediction)
        _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        path = self.folder / self._name(frame)
        temporary = path.with_name(f".{path.name}.part")
        try:  # without fsync: at camera rate it would be the slowest part of the run
            temporary.write_bytes(data.tobytes())
            temporary.replace(path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise disk_error(error, path) from error

    def close(self) -> None:
        """Do nothing: every file is finished."""

    def _name(self, frame: Frame) -> str:
        if not frame.name:
            return f"{_safe(frame.source or 'frame')}-{frame.index:06d}.jpg"
        picture = frame.source, frame.name
        stem = _safe(Path(frame.name).stem)
        if self.taken.setdefault(f"{stem}.jpg", picture) == picture:
            return f"{stem}.jpg"
        return f"{stem}-{frame.index:06d}.jpg"


def _safe(name: str) -> str:
    return re.sub(r"[^\w.,+=@ -]", "_", name)[:200].lstrip(".") or "frame"


@contextmanager
def open_place(place: str, terms: Terms) -> Generator[ImagesSink]:
    """Write into the folder ``place``, made if need be; empty, unless ``force``."""
    folder = Path(place)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        full = any(folder.iterdir())
    except (FileExistsError, NotADirectoryError) as error:
        raise UsageError(f"images: {place} is not a folder") from error
    except PermissionError as error:
        raise UsageError(f"images: no permission to write in {place}") from error
    except OSError as error:
        raise disk_error(error, folder) from error
    if full and not terms.force:
        raise UsageError(f"folder is not empty: {place}", hint="name another, or pass --force")
    yield ImagesSink(folder)
