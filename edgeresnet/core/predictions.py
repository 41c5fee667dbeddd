"""What a model says about one frame."""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True, eq=False)
class Detections:
    """``n`` boxes in pixels of the frame: ``xyxy`` (n, 4), ``scores`` (n,), ``class_ids`` (n,)."""

    xyxy: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    class_ids: npt.NDArray[np.int64]
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        n = len(self.scores)
        if self.xyxy.shape != (n, 4) or self.class_ids.shape != (n,) or len(self.names) != n:
            raise ValueError(
                f"boxes disagree: xyxy {self.xyxy.shape}, scores {self.scores.shape}, "
                f"class_ids {self.class_ids.shape}, names {len(self.names)}"
            )

    def __len__(self) -> int:
        return len(self.scores)


Prediction: TypeAlias = Classification | Detections
