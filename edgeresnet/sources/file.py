"""``file://PATH?loop=1&fps=30&start=N``: a picture, a folder or glob of pictures, or a video.

Frames wait for whoever takes them, unless ``fps`` makes the file act as a live camera. What
cannot be read or decoded is counted in ``dropped`` (``unreadable``, ``corrupt``) and logged.
"""

from __future__ import annotations

import difflib
import glob
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from itertools import takewhile
from pathlib import Path

from pydantic import Field

from edgeresnet.core.errors import UsageError
from edgeresnet.core.files import existing_file
from edgeresnet.core.pictures import is_picture, read_picture
from edgeresnet.core.schema import Schema, parse
from edgeresnet.sources.pictures import in_folder, matching, pictures
from edgeresnet.sources.shots import Shots, ShotSource
from edgeresnet.sources.terms import Terms
from edgeresnet.sources.video import decode, frame_rate, open_video


class Options(Schema):
    """What may follow the ``?``."""

    loop: bool = False
    """Begin again at the end, for ever."""
    fps: float | None = Field(None, gt=0, le=10_000)
    """Play at this pace, live: frames that nobody takes in time are lost."""
    start: int = Field(0, ge=0)
    """Frames or pictures to skip first, in each round."""
    threads: int = Field(1, ge=0, le=64)
    """Threads that decode a video; 0 is one for every core. More give more frames a second and
    cost more CPU time for each."""


def open_place(
    place: str, options: Mapping[str, str], terms: Terms
) -> AbstractContextManager[ShotSource]:
    """Open the file, folder or glob ``place``."""
    return _opened(place, parse(Options, options, "source file://", UsageError), terms)


@contextmanager
def _opened(place: str, options: Options, terms: Terms) -> Generator[ShotSource]:
    path, stop = Path(place), terms.stop
    fps: float | None = None
    once: Callable[..., Shots]
    if place and (path.is_dir() or (glob.has_magic(place) and not path.exists())):
        found = in_folder(path) if path.is_dir() else matching(place)
        if options.start >= len(found):
            raise UsageError(f"{place}: start={options.start}, but it has {len(found)} pictures")
        once = partial(_pictures, found[options.start :])
    elif is_picture(_checked(path, place)):
        read_picture(path)  # alone, it must be readable
        once = partial(_pictures, [path])
    else:
        with open_video(path) as stream:
            fps = frame_rate(stream)
        once = partial(_video, path, options, stop)
    yield ShotSource(
        terms.named(_base(place)),
        partial(_rounds, once, stop, loop=options.loop),
        stop,
        live=options.fps is not None,
        fps=options.fps or fps,
        paced=options.fps is not None,
        on_loss=terms.on_loss,
    )


def _rounds(once: Callable[..., Shots], stop: threading.Event, *, loop: bool) -> Shots:
    """Each round gives at least one frame, raises, or was stopped: this never spins."""
    yield from once(first=True)
    while loop and not stop.is_set():
        yield from once(first=False)


def _pictures(paths: list[Path], *, first: bool) -> Shots:
    return pictures(paths, tell=first)


def _video(path: Path, options: Options, stop: threading.Event, *, first: bool) -> Shots:
    del first  # each round of a damaged video says so anew
    return decode(path, start=options.start, threads=options.threads, stop=stop)


def _checked(path: Path, place: str) -> Path:
    """``path`` when it is a file with something in it."""
    if not place:
        raise UsageError("source file://: no path", hint="file://clip.mp4, or just clip.mp4")
    if not path.exists():
        near = path.parent.glob("*") if path.parent.is_dir() else ()
        close = difflib.get_close_matches(path.name, [other.name for other in near], n=1)
        hint = f"did you mean {str(path.with_name(close[0]))!r}?" if close else ""
        raise UsageError(
            f"source: no such file: {place}",
            hint=hint
            or "a picture, a folder or glob of pictures, or a video; a camera: camera://0",
        )
    if not path.is_file():
        raise UsageError(f"source: {place} is not a regular file", hint="a camera: camera://0")
    return existing_file(path, "source")


def _base(place: str) -> str:
    """The last part of a path; of a glob, the last folder before the first wildcard."""
    path = Path(place)
    if not path.exists():
        path = Path(*takewhile(lambda part: not glob.has_magic(part), path.parts))
    return path.resolve().name or "files"
