"""What a model says about one frame."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Label:
    """One class and how sure the model is of it, 0 to 1."""

    class_id: int
    name: str
    score: float


@dataclass(frozen=True)
class Classification:
    """The best labels of one frame, best first."""

    labels: tuple[Label, ...]

    def __post_init__(self) -> None:
        if not self.labels:
            raise ValueError("a classification has at least one label")

    @property
    def best(self) -> Label:
        """The label with the highest score."""
        return self.labels[0]


NOT_TRACKED = -1
"""The track id of a box that is not, or not yet, known to be one that was seen before."""


@dataclass(frozen=True, eq=False)
class Detections:
    """``n`` boxes in pixels of the frame: ``xyxy`` (n, 4), ``scores`` (n,), ``class_ids`` (n,).

    ``track_ids`` (n,) are the same for the same thing in later frames of its source;
    :data:`NOT_TRACKED` for all when none are given.
    """

    xyxy: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    class_ids: npt.NDArray[np.int64]
    names: tuple[str, ...]
    track_ids: npt.NDArray[np.int64] = field(default_factory=lambda: _NONE)

    def __post_init__(self) -> None:
        n = len(self.scores)
        if self.track_ids is _NONE:
            object.__setattr__(self, "track_ids", np.full(n, NOT_TRACKED))
        if (
            self.xyxy.shape != (n, 4)
            or self.class_ids.shape != (n,)
            or len(self.names) != n
            or self.track_ids.shape != (n,)
        ):
            raise ValueError(
                f"boxes disagree: xyxy {self.xyxy.shape}, scores {self.scores.shape}, "
                f"class_ids {self.class_ids.shape}, names {len(self.names)}, "
                f"track_ids {self.track_ids.shape}"
            )

    def __len__(self) -> int:
        return len(self.scores)

    def only(self, places: npt.NDArray[np.int64]) -> Detections:
        """The boxes at ``places``, in that order."""
        return Detections(
            self.xyxy[places],
            self.scores[places],
            self.class_ids[places],
            tuple(self.names[place] for place in places.tolist()),
            self.track_ids[places],
        )


_NONE: npt.NDArray[np.int64] = np.zeros(0, np.int64)


@dataclass(frozen=True, eq=False)
class Embedding:
    """What a picture is like, as one ``vector`` (n,): near for those that are alike."""

    vector: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.vector.ndim != 1 or not len(self.vector):
            raise ValueError(f"an embedding is one vector, got shape {self.vector.shape}")


Prediction: TypeAlias = Classification | Detections | Embedding
