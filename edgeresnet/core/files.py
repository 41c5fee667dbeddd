"""Files that appear whole or not at all, and digests of what they hold."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from edgeresnet.core.errors import DeviceError, UsageError


def sha256_file(path: Path) -> str:
    """Hex digest of a file's bytes, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def existing_file(path: Path, what: str) -> Path:
    """``path`` when it is a readable, non-empty file; else a usage error that says which."""
    try:
        found = path.stat()
        if stat.S_ISDIR(found.st_mode):
            raise UsageError(f"{what}: {path} is a folder, a file is needed")
        if not stat.S_ISREG(found.st_mode):  # opening a pipe would wait for its writer
            raise UsageError(f"{what}: {path} is a pipe or a device, a plain file is needed")
        with path.open("rb"):
            pass
    except FileNotFoundError as error:
        raise UsageError(f"{what}: no such file: {path}") from error
    except PermissionError as error:
        raise UsageError(f"{what}: no permission to read {path}") from error
    except OSError as error:
        raise UsageError(f"{what}: cannot read {path}: {error.strerror}") from error
    if found.st_size == 0:
        raise UsageError(f"{what}: {path} is empty", hint="was the download or copy interrupted?")
    return path


def is_there(path: Path) -> bool:
    """Whether ``path`` is a file; one of a name that no file can have is not there either."""
    try:
        return path.is_file()
    except OSError:
        return False


def check_output(path: Path, *, force: bool, folder: bool = False) -> Path:
    """``path`` when a file or ``folder`` may be written there; says so before the work."""
    parent = path.absolute().parent
    try:
        exists, in_folder = path.exists(), parent.is_dir()
    except OSError as error:  # a folder above that may not be entered, a name too long
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
    if exists and not force:
        raise UsageError(f"output exists: {path}", hint="choose another -o, or pass --force")
    if exists and path.is_dir() and not folder:
        raise UsageError(f"{path} is a folder: not overwritten", hint="choose another -o")
    if not in_folder:
        raise UsageError(f"no such folder: {parent}", hint=f"mkdir -p {parent}")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise UsageError(f"no permission to write in {parent}")
    return path


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def disk_error(error: OSError, path: Path) -> DeviceError:
    """What a failed write means to the user."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DeviceError(f"disk full while writing {path}", hint="free some space and try again")
    return DeviceError(f"cannot write {path}: {error.strerror or error}")


@contextmanager
def whole_file(path: Path) -> Generator[Path]:
    """A temporary path beside ``path``; it takes its place when the block ends well.

    What is not a regular file (``/dev/stdout``, a pipe) is written as it is, never replaced.
    """
    if path.is_dir():
        raise UsageError(f"output {path} is a folder, a file name is needed")
    if path.exists() and not path.is_file():
        yield path
        return
    try:
        handle, name = tempfile.mkstemp(dir=path.absolute().parent, prefix=f".{path.name}.")
    except OSError as error:
        raise disk_error(error, path) from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        _sync(temporary)
        temporary.replace(path)
        _sync(path.absolute().parent)
    except OSError as error:
        raise disk_error(error, path) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path, *, force: bool) -> Generator[Path]:
    """A temporary folder beside ``path``; it takes its place when the block ends well.

    With ``force`` an existing folder is moved aside first and deleted last.
    """
    parent = path.absolute().parent
    try:
        temporary = Path(tempfile.mkdtemp(dir=parent, prefix=f".{path.name}."))
    except OSError as error:
        raise disk_error(error, path) from error
    try:
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        for file in sorted(temporary.rglob("*")):
            _sync(file)
        _sync(temporary)
        if force and path.exists():
            aside = Path(tempfile.mkdtemp(dir=parent, prefix=f".{path.name}.old."))
            path.replace(aside / path.name)
            try:
                temporary.replace(path)
            except OSError:
                (aside / path.name).replace(path)
                raise
            finally:
                shutil.rmtree(aside, ignore_errors=True)
        else:
            temporary.replace(path)
        _sync(parent)
    except OSError as error:
        raise disk_error(error, path) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as a whole file."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
