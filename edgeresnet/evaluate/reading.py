"""The pictures of an evaluation: read, fitted, and those that cannot be read left out by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from edgeresnet.core.errors import UsageError
from edgeresnet.core.frames import Frame
from edgeresnet.core.pictures import read_picture
from edgeresnet.core.preprocess import Preprocess, fit
from edgeresnet.core.progress import Progress
from edgeresnet.core.tensors import Pixels

T = TypeVar("T")


def fitted(
    items: Sequence[T],
    path: Callable[[T], Path],
    preprocess: Preprocess,
    unreadable: Callable[[Path, str], None],
    progress: tuple[str, Progress],
) -> Iterator[tuple[tuple[T, Frame], Pixels]]:
    """Each item whose picture is readable, with its frame in black and the fitted pixels.

    The others go to ``unreadable``, with the reason. ``progress`` hears of each under that name.
    """
    what, tell = progress
    for done, item in enumerate(items, start=1):
        tell(what, done, len(items))
        try:
            pixels = read_picture(path(item))
        except UsageError as error:
            unreadable(path(item), error.what)
            continue
        frame = Frame(pixels, done - 1, 0, str(path(item).parent), path(item).name)
        yield (item, frame.without_pixels()), fit(pixels, preprocess)
