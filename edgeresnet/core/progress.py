"""How a long stage tells how far it is."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeAlias

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with what is being done, how many are done, and how many there are."""


BUILDER = "edgeresnet-build"
"""Name of a thread that builds; one that is in a vendor's code may outlive what it builds for."""


class StoppedError(BaseException):
    """Raised by a :data:`Progress` whose work is not wanted any more; it ends a long stage early.

    No Exception, so that nobody takes it for a failure of the work.
    """


def until_stopped(progress: Progress, stop: threading.Event) -> Progress:
    """``progress``, which raises :class:`StoppedError` once ``stop`` is set."""

    def tell(what: str, done: int, total: int) -> None:
        if stop.is_set():
            raise StoppedError
        progress(what, done, total)

    return tell


def silent(_what: str, _done: int, _total: int) -> None:
    """Tell nobody."""
