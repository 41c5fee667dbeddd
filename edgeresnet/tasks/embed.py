"""What the picture is like, as a vector: to find similar ones, or to learn classes from few."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeresnet.core.errors import UsageError
from edgeresnet.core.frames import Frame
from edgeresnet.core.labels import Labels
from edgeresnet.core.predictions import Embedding
from edgeresnet.core.preprocess import Preprocess, fit
from edgeresnet.core.tensors import EMBEDDING, IMAGE, Tensors
from edgeresnet.tasks.outputs import NOT_FINITE, unusable

SIGNATURE = 1
"""Raised whenever :meth:`Embed.signature` tells something else."""


@dataclass(frozen=True)
class Embed:
    """The network's features, as they are: not scaled to length 1."""

    preprocess: Preprocess

    def feeds(self, frame: Frame) -> Tensors:
        """The fitted picture, batch 1."""
        return {IMAGE: fit(frame.looked_at, self.preprocess)[None]}

    def prediction(self, outputs: Tensors, frame: Frame) -> Embedding:
        """The vector. Values that are not finite are an error."""
        vector = outputs[EMBEDDING][0]
        if not np.isfinite(vector).all():
            raise unusable(NOT_FINITE, frame)
        return Embedding(np.array(vector, np.float32))  # the outputs are the session's

    def signature(self, outputs: Tensors) -> npt.NDArray[np.float32]:
        """The vector."""
        return np.array(outputs[EMBEDDING][0], np.float32)


def task(
    preprocess: Preprocess,
    labels: Labels,  # noqa: ARG001  of the network whose features these are
    *,
    top: int | None,  # noqa: ARG001  there is one vector
    threshold: float | None,
    of_classes: Mapping[str, float],
    tracked: bool,  # noqa: ARG001  refused before
) -> Embed:
    """The task for one worker."""
    if threshold is not None or of_classes:
        raise UsageError("an embedding has no score", hint="leave the thresholds out")
    return Embed(preprocess)
