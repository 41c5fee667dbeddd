"""Text lines to the standard output or to the end of a file, each out at once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import IO

from edgeresnet.core.errors import DeviceError, EdgeError, UsageError
from edgeresnet.core.files import disk_error


class Lines:
    """An open place for lines. What cannot be written raises a device error, here or at close.

    A reader of the standard output who left is a BrokenPipeError: ``head`` had enough.
    """

    def __init__(self, place: str) -> None:
        self._path = Path("standard output" if place == "-" else place)
        self._file: IO[bytes] | None = None
        self._failed = self._torn = False
        self.empty = True
        """Whether nothing had been written there before."""
        if place != "-":
            self._open()

    def _open(self) -> None:
        try:
            size = self._path.stat().st_size if self._path.is_file() else 0
            self.empty = not size
            self._file = self._path.open("ab")
        except (FileNotFoundError, NotADirectoryError) as error:
            parent = self._path.parent
            raise UsageError(f"no such folder: {parent}", hint=f"mkdir -p {parent}") from error
        except IsADirectoryError as error:
            raise UsageError(f"{self._path} is a folder, a file is needed") from error
        except PermissionError as error:
            raise UsageError(f"no permission to write {self._path}") from error
        except OSError as error:
            raise disk_error(error, self._path) from error
        self._torn = bool(size) and not self._ends_a_line(size)

    def _ends_a_line(self, size: int) -> bool:
        with self._path.open("rb") as file:
            file.seek(size - 1)
            return file.read(1) == b"\n"

    def first(self) -> str:
        """The first line of the file, as it was before."""
        if self.empty:
            return ""
        with self._path.open("rb") as file:
            return file.readline(65536).decode("utf-8", "replace").rstrip("\r\n")

    def write(self, line: str) -> None:
        """Write ``line`` and a line end, and hand both to the system."""
        data = (line + "\n").encode("utf-8", "backslashreplace")
        if self._torn:  # a line that a power cut left half must not swallow this one
            data, self._torn = b"\n" + data, False
        file = self._file or sys.stdout.buffer
        try:
            file.write(data)
            file.flush()
        except OSError as error:
            self._failed = True
            if self._file is None and isinstance(error, BrokenPipeError):
                raise
            raise self._error(error) from error

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        file, self._file = self._file, None
        if file is None:
            return
        try:
            file.close()
        except OSError as error:
            if not self._failed:  # else it was said before
                raise self._error(error) from error

    def _error(self, error: OSError) -> EdgeError:
        if isinstance(error, BrokenPipeError):
            return DeviceError(f"{self._path}: nobody reads it any more")
        return disk_error(error, self._path)
