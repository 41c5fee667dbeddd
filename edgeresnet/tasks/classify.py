"""One label for the whole picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeresnet.core.frames import Frame
from edgeresnet.core.labels import Labels
from edgeresnet.core.predictions import Classification, Label
from edgeresnet.core.preprocess import Preprocess, fit
from edgeresnet.core.tensors import IMAGE, LOGITS, Tensors
from edgeresnet.tasks.outputs import NOT_FINITE, unusable
from edgeresnet.tasks.thresholds import least_scores

SIGNATURE = 1
"""Raised whenever :meth:`Classify.signature` tells something else."""
TOP = 5
"""Where the user says no other."""


@dataclass(frozen=True, eq=False)
class Classify:
    """The ``top`` classes by softmax; what does not reach its ``least`` is left out, but the best.

    ``least`` (classes,) is the score that each class has to have.
    """

    preprocess: Preprocess
    labels: Labels
    top: int
    least: npt.NDArray[np.float64]

    def feeds(self, frame: Frame) -> Tensors:
        """The fitted picture, batch 1."""
        return {IMAGE: fit(frame.looked_at, self.preprocess)[None]}

    def prediction(self, outputs: Tensors, frame: Frame) -> Classification:
        """Labels, best first. Logits that are not finite are an error, never a label."""
        logits = outputs[LOGITS][0]
        if not np.isfinite(logits).all():
            raise unusable(NOT_FINITE, frame)
        scores = softmax(logits)
        count = min(self.top, len(scores))
        best = np.argpartition(-scores, count - 1)[:count]
        best = best[np.argsort(-scores[best], kind="stable")]
        found = [Label(int(i), self.labels.names[i], float(scores[i])) for i in best]
        first, *others = found
        sure = (label for label in others if label.score >= self.least[label.class_id])
        return Classification((first, *sure))

    def signature(self, outputs: Tensors) -> npt.NDArray[np.float32]:
        """The logits."""
        return np.asarray(outputs[LOGITS][0], np.float32)


def softmax(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Probabilities along the last axis."""
    shifted = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(-1, keepdims=True), np.float32)


def task(
    preprocess: Preprocess,
    labels: Labels,
    *,
    top: int | None,
    threshold: float | None,
    of_classes: Mapping[str, float],
    tracked: bool,  # noqa: ARG001  refused before
) -> Classify:
    """The task for one worker."""
    return Classify(
        preprocess, labels, top or TOP, least_scores(labels, threshold or 0, of_classes)
    )
