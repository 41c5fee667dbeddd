"""Width and height of a picture file, from its first bytes where the format allows."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from edgeresnet.core.errors import UsageError
from edgeresnet.core.pictures import read_picture

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"
_FRAME_STARTS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF markers: ITU T.81, B.1
_NO_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})


def picture_size(path: Path) -> tuple[int, int]:
    """Width and height in pixels as stored, EXIF orientation ignored; :class:`UsageError` if none.

    The header alone is read of JPEG and PNG files; others are decoded.
    """
    try:
        with path.open("rb") as file:
            head = file.read(24)
            if head.startswith(_PNG) and head[12:16] == b"IHDR":
                width, height = struct.unpack(">II", head[16:24])
                return width, height
            if head.startswith(_JPEG):
                found = _jpeg_size(file)
                if found is not None:
                    return found
    except OSError as error:
        raise UsageError(f"cannot read picture {path}: {error.strerror}") from error
    pixels = read_picture(path)
    return pixels.shape[1], pixels.shape[0]


def _jpeg_size(file: BinaryIO) -> tuple[int, int] | None:
    file.seek(2)
    while (mark := file.read(2)) and len(mark) == 2 and mark[0] == 0xFF:
        if mark[1] == 0xFF:  # fill bytes before a marker
            file.seek(-1, 1)
            continue
        if mark[1] in _NO_LENGTH:
            continue
        length = int.from_bytes(file.read(2), "big")
        if mark[1] in _FRAME_STARTS:
            frame = file.read(5)
            height, width = struct.unpack(">xHH", frame) if len(frame) == 5 else (0, 0)
            return (width, height) if width and height else None
        if length < 2:
            return None
        file.seek(length - 2, 1)
    return None
