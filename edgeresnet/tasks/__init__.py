"""What a model is for, one module each."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import Protocol, cast

from edgeresnet.core.errors import ModelError, UsageError
from edgeresnet.core.labels import Labels
from edgeresnet.core.predictions import Prediction
from edgeresnet.core.preprocess import Preprocess
from edgeresnet.core.protocols import Task
from edgeresnet.tasks.thresholds import NONE

TASKS = {
    "classify": "edgeresnet.tasks.classify",
    "detect": "edgeresnet.tasks.detect",
    "embed": "edgeresnet.tasks.embed",
}
"""Name, as written in graphs and manifests, to the module whose ``task`` makes it, and which
``SIGNATURE`` it has; one whose things can be followed from frame to frame has a ``tracker``."""


def signature_version(name: str) -> int:
    """Which signature the outputs of a bundle made today are kept as."""
    return int(_module(name).SIGNATURE)


class Follower(Protocol):
    """Knows the things of one source again."""

    def follow(self, prediction: Prediction, moment_s: float) -> Prediction:
        """The same prediction, with ``track_ids``. Moments only grow."""
        ...


def make_task(
    name: str,
    preprocess: Preprocess,
    labels: Labels,
    *,
    top: int | None = None,
    threshold: float | None = None,
    of_classes: Mapping[str, float] = NONE,
    tracked: bool = False,
) -> Task:
    """A task of its own for one worker: its buffers are not shared.

    ``top`` labels or boxes at most, and the least score: ``threshold``, or ``of_classes`` by class
    name; None is what the task itself holds for right. ``tracked`` predictions go through
    :func:`make_follower`'s first.
    """
    made = _module(name).task(
        preprocess, labels, top=top, threshold=threshold, of_classes=of_classes, tracked=tracked
    )
    return cast("Task", made)


def make_follower(
    name: str,
    labels: Labels,
    *,
    top: int | None = None,
    threshold: float | None = None,
    of_classes: Mapping[str, float] = NONE,
) -> Follower:
    """What follows the things of one source; options as of :func:`make_task`."""
    module = _module(name)
    if not hasattr(module, "tracker"):
        raise UsageError(
            f"a model of task {name!r} finds nothing that could be tracked",
            hint="leave out --track",
        )
    made = module.tracker(labels, top=top, threshold=threshold, of_classes=of_classes)
    return cast("Follower", made)


def _module(name: str) -> ModuleType:
    if name not in TASKS:
        raise ModelError(
            f"this edgeresnet knows no task {name!r}", hint=f"it knows: {', '.join(TASKS)}"
        )
    return import_module(TASKS[name])
