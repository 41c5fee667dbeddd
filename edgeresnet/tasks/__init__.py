"""What a model is for, one module each."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from edgeresnet.core.errors import ModelError
from edgeresnet.core.labels import Labels
from edgeresnet.core.preprocess import Preprocess
from edgeresnet.core.protocols import Task

TASKS = {"classify": "edgeresnet.tasks.classify"}
"""Name, as written in graphs and manifests, to the module whose ``task`` makes it."""


def make_task(
    name: str, preprocess: Preprocess, labels: Labels, *, top: int = 5, threshold: float = 0.0
) -> Task:
    """A task of its own for one worker: its buffers are not shared."""
    if name not in TASKS:
        raise ModelError(
            f"this edgeresnet knows no task {name!r}", hint=f"it knows: {', '.join(TASKS)}"
        )
    module = import_module(TASKS[name])
    return cast("Task", module.task(preprocess, labels, top=top, threshold=threshold))
