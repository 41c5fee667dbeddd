"""Every error edgeresnet raises on purpose.

::

    EdgeError                 exit 1
      UsageError              exit 2   the command or a file it names is wrong
        ProfileError                   a target, recipe or preprocess file is wrong
      MissingBackendError     exit 3   a package or driver is not installed or not usable here
      ModelError              exit 4   the model cannot go through this stage
        ParityError                    two runtimes, or model and preprocessing, disagree
      GateError               exit 5   the result is valid but misses the asked-for bar
      DeviceError             exit 6   a camera, accelerator, memory or disk failed

Anything else that escapes is a bug in edgeresnet and keeps its traceback.
"""

from __future__ import annotations

from typing import ClassVar


class EdgeError(Exception):
    """Something the user can act on: what happened, then what to try."""

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.what}\nhint: {self.hint}" if self.hint else self.what


class UsageError(EdgeError):
    """The command, or a file it names, is wrong."""

    exit_code = 2


class ProfileError(UsageError):
    """A target, recipe or preprocess file is wrong."""


class MissingBackendError(EdgeError):
    """A package or driver is not installed, or not usable on this machine."""

    exit_code = 3


class ModelError(EdgeError):
    """The checkpoint, graph or bundle cannot go through this stage."""

    exit_code = 4


class ParityError(ModelError):
    """Two runtimes disagree on the same picture, or the preprocessing is not the training's."""


class GateError(EdgeError):
    """The result is valid, but misses the bar that was asked for."""

    exit_code = 5

    def __init__(self, what: str, *, hint: str = "", report: object = None) -> None:
        super().__init__(what, hint=hint)
        self.report = report
        """What the stage found all the same, where it tells."""


class DeviceError(EdgeError):
    """A camera, accelerator, memory or disk failed while running."""

    exit_code = 6
