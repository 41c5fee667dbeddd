"""How far a build is, where this TensorRT tells it; and the way to end it early."""

from __future__ import annotations

from typing import Any

from edgeresnet.core.progress import Progress


class Steps:
    """The outermost phase of a build as our progress.

    What ``progress`` raises, Ctrl-C for one, must not pass through TensorRT: it ends the build and
    waits in ``stopped``.
    """

    def __init__(self, what: str, progress: Progress) -> None:
        self.stopped: BaseException | None = None
        self._what, self._progress = what, progress
        self._phase, self._steps = "", 0

    def began(self, phase: str, parent: str | None, steps: int) -> None:
        """A phase of so many steps; one without a parent is the outermost."""
        if parent is None:
            self._phase, self._steps = phase, steps

    def done(self, phase: str, steps: int | None = None) -> bool:
        """So many steps are done, ``None``: all; False when the build shall end."""
        if phase == self._phase and self.stopped is None:
            try:
                done = self._steps if steps is None else min(steps, self._steps)
                self._progress(self._what, done, self._steps)
            except BaseException as error:  # noqa: BLE001  Ctrl-C arrives here
                self.stopped = error
        return self.stopped is None


def new_monitor(trt: Any, steps: Steps) -> Any:
    """What TensorRT calls; None where this version has no such thing."""
    if not hasattr(trt, "IProgressMonitor"):
        return None

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, name: str, parent: str | None, count: int) -> None:
            steps.began(name, parent, count)

        def step_complete(self, name: str, step: int) -> bool:
            return steps.done(name, step + 1)

        def phase_finish(self, name: str) -> None:
            steps.done(name)  # the last step is not told

    return Monitor()
