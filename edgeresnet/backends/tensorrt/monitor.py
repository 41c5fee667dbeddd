"""How far a build is, where this TensorRT tells it; and the way to end it early."""

from __future__ import annotations

import threading
from typing import Any

from edgeresnet.core.progress import Progress


class Steps:
    """The outermost phase of a build as our progress; the minutes pass in phases within it.

    ``progress`` is called at every step of any phase, so that what it raises, or Ctrl-C, ends the
    build at once. An exception must not pass through TensorRT, which swallows it: it waits in
    ``stopped``. TensorRT calls from several threads.
    """

    def __init__(self, what: str, progress: Progress) -> None:
        self.stopped: BaseException | None = None
        self._what, self._progress = what, progress
        self._phase, self._done, self._steps = "", 0, 1
        self._lock = threading.Lock()

    def began(self, phase: str, parent: str | None, steps: int) -> None:
        """A phase of so many steps; one without a parent is the outermost."""
        if parent is None:
            self._phase, self._done, self._steps = phase, 0, steps
        self._tell()

    def done(self, phase: str, steps: int | None = None) -> bool:
        """So many steps are done, ``None``: all; False when the build shall end."""
        if phase == self._phase:
            self._done = self._steps if steps is None else min(steps, self._steps)
        return self._tell()

    def _tell(self) -> bool:
        with self._lock:
            if self.stopped is None:
                self._progress(self._what, self._done, self._steps)
            return self.stopped is None


def new_monitor(trt: Any, steps: Steps) -> Any:
    """What TensorRT calls; None where this version has no such thing."""
    if not hasattr(trt, "IProgressMonitor"):
        return None

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, name: str, parent: str | None, count: int) -> None:
            try:
                steps.began(name, parent, count)
            except BaseException as error:  # noqa: BLE001  Ctrl-C arrives anywhere in here
                steps.stopped = error

        def step_complete(self, name: str, step: int) -> bool:
            try:
                return steps.done(name, step + 1)
            except BaseException as error:  # noqa: BLE001
                steps.stopped = error
                return False

        def phase_finish(self, name: str) -> None:
            try:
                steps.done(name)  # the last step is not told
            except BaseException as error:  # noqa: BLE001
                steps.stopped = error

    return Monitor()
