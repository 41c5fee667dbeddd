"""What signals mean to a run."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from edgeresnet.cli.console import say
from edgeresnet.core.errors import EdgeError

if TYPE_CHECKING:
    from edgeresnet.run.config import App


class Signals:
    """The first Ctrl-C or SIGTERM ends the run with its summary, the second ends the process.

    The second is left to the system, which also ends what hangs in a driver. SIGHUP reads the
    configuration again; a bad one is told, and the run goes on as it was. Without a configuration,
    or from a terminal that was closed, it ends the run.
    """

    def __init__(self, read_again: Callable[[], App] | None) -> None:
        self.stop = threading.Event()
        """Ends the run."""
        self.reloaded: App | None = None
        """What to run next."""
        self._read_again, self._ended = read_again, False

    def again(self) -> App | None:
        """What was read, for the next run, which has a stop of its own; None when this was all."""
        found, self.reloaded = self.reloaded, None
        self.stop = threading.Event()
        if self._ended:
            self.stop.set()
        return found

    @contextmanager
    def handled(self) -> Generator[None]:
        """Take signals while the block runs."""
        reloads = self._read_again is not None and not sys.stdin.isatty()
        handlers = {
            signal.SIGINT: self._end,
            signal.SIGTERM: self._end,
            signal.SIGHUP: self._reload if reloads else self._end,
        }
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        self._ended, self.reloaded = True, None
        self.stop.set()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)

    def _reload(self, _number: int, _frame: FrameType | None) -> None:
        if self._ended or self._read_again is None:
            return
        try:
            self.reloaded = self._read_again()
        except EdgeError as error:
            say(f"not reloaded, the run goes on as it was: {error}")
        else:
            self.stop.set()
