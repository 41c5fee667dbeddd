"""A bundle's way to another machine: whole under its name, or not at all."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import tarfile
import tempfile
from collections import deque
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO

from edgeresnet.core.bundle import Bundle
from edgeresnet.core.errors import DeviceError, UsageError
from edgeresnet.core.progress import Progress
from edgeresnet.deploy.device import marked
from edgeresnet.deploy.ssh import Connection, Done, lines, plain

_SPARE = 1.05
"""Of the bundle's size: file systems round up."""
_SHOWN = 200
_LINES = 200
_FULL = re.compile(r"No space left|quota exceeded|Wrote only \d+ of")
_PERCENT = re.compile(rb"(\d+)%")
_LOOK = r"""
case $1 in /*) ;; *) cd || exit 1 ;; esac
mkdir -p -- "$1" && cd -- "$1" || exit 1
printf '\n@folder %s\n' "$(pwd -P)"
[ -w . ] || printf '@denied\n'
printf '@free %s\n' "$(df -Pk . | tail -n 1)"
if [ -f "./$2/manifest.json" ] && [ -f "./$2/manifest.sha256" ]; then
  printf '@seal %s\n' "$(head -c 64 "./$2/manifest.sha256")"
elif [ -e "./$2" ] || [ -L "./$2" ]; then
  printf '@other\n'
fi
if [ -d "./$3" ]; then printf '@part %s\n' "$(du -sk "./$3")"; fi
if command -v rsync >/dev/null; then printf '@rsync %s\n' "$(rsync --version | head -n 1)"; fi
exit 0
"""
_TAKE_ITS_PLACE = r"""
move() {
  mv -T -- "$1" "$2" 2>/dev/null && return
  if [ -e "$2" ] || [ -L "$2" ]; then echo "$2 has come to be there" >&2; return 1; fi
  mv -- "$1" "$2"
}
cd -- "$1" || exit 1
sync "./$3"/* 2>/dev/null || sync
if [ -e "./$2" ] || [ -L "./$2" ]; then
  [ "$4" = replace ] || { echo "$2 has come to be there" >&2; exit 1; }
  rm -rf "./$3.old" && move "./$2" "./$3.old" || exit 1
  move "./$3" "./$2" || { move "./$3.old" "./$2"; exit 1; }
  rm -rf "./$3.old"
else
  move "./$3" "./$2" || exit 1
fi
rm -rf "./.$2."????????????????.part "./.$2."????????????????.part.old
sync . 2>/dev/null
exit 0
"""
"""Other copies that are dropped in the end are of this name: 16 digits of a digest tell them.

``mv`` without ``-T`` would put a folder into one that has just come to be; some know none.
"""
_UNPACK = 'rm -rf "$1" && mkdir "$1" && cd "$1" && tar -xof -'


@dataclass(frozen=True)
class Place:
    """What was found where a bundle is to go."""

    folder: str
    """The absolute path there that bundles are kept in."""
    name: str
    part: str
    """The name beside it under which the copy grows."""
    free_kb: int
    """Free for us, what the unfinished copy has taken counted as free."""
    digest: str
    """Of the bundle that has the name already; empty if none has."""
    taken: bool
    """Whether something that is no bundle has the name."""
    begun: bool
    """Whether an unfinished copy of this very bundle is there."""
    rsync: bool

    @property
    def path(self) -> str:
        """Of the bundle."""
        return f"{self.folder}/{self.name}"

    @property
    def part_path(self) -> str:
        """Of the unfinished copy."""
        return f"{self.folder}/{self.part}"


def name_of(bundle: Bundle, folder: str) -> str:
    """The name that ``bundle`` gets in ``folder`` there; raises if either cannot be written so."""
    name = bundle.folder.resolve().name
    for word in (name, folder):
        if plain(word) != word or not word:
            raise UsageError(f"control characters or spaces at the end of a path: {word!r}")
    return name


def look(connection: Connection, bundle: Bundle, folder: str) -> Place:
    """See what is in ``folder`` there, which is made; relative to the home there."""
    name = name_of(bundle, folder)
    part = f".{name}.{bundle.digest[:16]}.part"
    done = connection.script(_LOOK, folder, name, part, doing="its folders were looked at")
    found = dict(marked(done))
    if done.code or "folder" not in found or "denied" in found:
        said = done.errors[-1][:_SHOWN] if done.errors else "no permission to write"
        raise DeviceError(
            f"on {connection.host}: cannot use {folder}: {said}", hint="another --remote-dir"
        )
    sizes = re.search(r"\s\d+\s+\d+\s+(\d{1,18})\s+\d+%", found.get("free", ""))
    begun = re.match(r"\d{1,18}\b", found.get("part", ""))
    return Place(
        folder=found["folder"].rstrip("/"),
        name=name,
        part=part,
        free_kb=(int(sizes[1]) if sizes else 1 << 40) + (int(begun[0]) if begun else 0),
        digest=found.get("seal", ""),
        taken="other" in found,
        begun="part" in found,
        # another rsync, of macOS or a busy box, takes other options
        rsync="version 3" in found.get("rsync", "") and "version 3" in _rsync_here(),
    )


def check_place(host: str, place: Place, bundle: Bundle, *, force: bool) -> None:
    """Raise if ``bundle`` may not take its place there."""
    if place.taken:
        raise UsageError(
            f"on {host}: {place.path} is no bundle: not overwritten", hint="another --remote-dir"
        )
    if place.digest and place.digest != bundle.digest and not force:
        raise UsageError(
            f"on {host}: {place.path} is another bundle (sha256 {place.digest[:12]}…, ours "
            f"{bundle.digest[:12]}…)",
            hint="--force puts ours in its place, or another --remote-dir",
        )


def check_space(host: str, place: Place, bundle: Bundle) -> None:
    """Raise if ``bundle`` does not fit there."""
    needed_kb = int(size_bytes(bundle) * _SPARE) // 1024 + 1
    if place.free_kb < needed_kb:
        raise DeviceError(
            f"on {host}: {place.free_kb / 1e3:.1f} MB are free in {place.folder}, the bundle "
            f"needs {needed_kb / 1e3:.1f} MB",
            hint="free some space there, or a --remote-dir on a larger disk",
        )


def size_bytes(bundle: Bundle) -> int:
    """Of all files of a bundle."""
    return sum(file.stat().st_size for file in bundle.folder.iterdir())


def copy(connection: Connection, bundle: Bundle, place: Place, progress: Progress) -> str:
    """Copy into ``place.part``, which is to be verified then; return the tool that did."""
    if place.rsync:
        _by_rsync(connection, bundle, place, progress)
        return "rsync"
    _by_tar(connection, bundle, place, progress)
    return "tar"


def discard(connection: Connection, place: Place) -> None:
    """Drop an unfinished copy."""
    connection.script('rm -rf "$1"', place.part_path, doing="a damaged copy was dropped")


def take_its_place(connection: Connection, place: Place) -> None:
    """Give the copy its name; a bundle that has it goes only then."""
    mode = "replace" if place.digest else "new"
    names = (place.folder, place.name, place.part)
    done = connection.script(_TAKE_ITS_PLACE, *names, mode, doing="the copy got its name")
    if done.code:
        said = done.errors[-1][:_SHOWN] if done.errors else "no reason given"
        raise DeviceError(f"on {connection.host}: cannot name the copy {place.path}: {said}")


def _rsync_here() -> str:
    if shutil.which("rsync") is None:
        return ""
    done = subprocess.run(
        ["rsync", "--version"],  # noqa: S607  the user's own
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.partition("\n")[0]


def _by_rsync(connection: Connection, bundle: Bundle, place: Place, progress: Progress) -> None:
    with tempfile.TemporaryFile() as log:
        command = [
            *("rsync", "-s", "-rt", "--partial", "--delete", "--timeout=60", "--info=progress2"),
            *(["-I"] if place.begun else []),  # after a power loss size and time may be all it has
            *("--chmod=ugo=rwX", "-e", " ".join(connection.ssh)),
            f"{bundle.folder.resolve()}/",
            f"{connection.name}:{place.part_path}/",
        ]
        with subprocess.Popen(  # noqa: S603  our words; its ssh goes through the connection
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        ) as process:
            assert process.stdout is not None
            try:
                while told := os.read(process.stdout.fileno(), 1 << 12):
                    for percent in _PERCENT.findall(told)[-1:]:
                        progress("copy", int(percent), 100)
                code = process.wait()
            finally:
                process.terminate()
        log.seek(0)
        said = tuple(islice(lines(log), _LINES))
    if code:
        _copy_failed(connection, place, Done(code, "", said))


def _by_tar(connection: Connection, bundle: Bundle, place: Place, progress: Progress) -> None:
    total = size_bytes(bundle)
    unpack = shlex.join(["sh", "-c", _UNPACK, "sh", place.part_path])
    with connection.started(unpack) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            with process.stdin:
                _pack(bundle.folder, process.stdin, progress, total)
        except BrokenPipeError:  # the other end says why
            pass
        told = lines(process.stderr)
        said = tuple(islice(told, _LINES))
        deque(told, maxlen=0)  # what is more is let go
        code = process.wait()
    if code:
        _copy_failed(connection, place, Done(code, "", said))


def _pack(folder: Path, pipe: IO[bytes], progress: Progress, total: int) -> None:
    done = 0
    with tarfile.open(fileobj=pipe, mode="w|") as archive:
        for file in sorted(folder.iterdir()):
            entry = archive.gettarinfo(file, file.name)
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = ""
            entry.mode = 0o644
            with file.open("rb") as data:
                archive.addfile(entry, data)
            done += entry.size
            progress("copy", done * 100 // max(total, 1), 100)


def _copy_failed(connection: Connection, place: Place, done: Done) -> None:
    """Raise what the end of a copying tool means."""
    connection.check("the bundle was copied")
    if any(_FULL.search(line) for line in done.errors):
        raise DeviceError(
            f"on {connection.host}: disk full while writing {place.part_path}",
            hint="free some space there, or a --remote-dir on a larger disk",
        )
    said = done.errors[0][:_SHOWN] if done.errors else f"exit code {done.code}"
    raise DeviceError(f"on {connection.host}: cannot copy to {place.part_path}: {said}")
