"""What flows through a model: names, element types, shapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Pixels: TypeAlias = npt.NDArray[np.uint8]
"""A picture: height x width x 3, uint8, BGR."""
Tensors: TypeAlias = Mapping[str, Array]

IMAGE = "image"
"""Name of the contract graph's input: uint8, batch x height x width x 3, BGR, already fitted."""
LOGITS = "logits"
"""Name of a classifier's output: float32, batch x classes, before any softmax."""
BOXES = "boxes"
"""Of a detector: float32, batch x n x 4; left, top, right and bottom in fitted pixels."""
SCORES = "scores"
"""Of a detector: float32, batch x n, 0 to 1, best first."""
CLASS_IDS = "class_ids"
"""Of a detector: int32, batch x n."""
EMBEDDING = "embedding"
"""Of a feature extractor: float32, batch x features."""


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of a model. ``None`` in ``shape`` is a free dimension."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]

    def accepts(self, array: Array) -> bool:
        """Whether ``array`` could be fed here as it is."""
        return (
            array.dtype.name == self.dtype
            and array.ndim == len(self.shape)
            and all(want in (None, got) for want, got in zip(self.shape, array.shape, strict=True))
        )

    def __str__(self) -> str:
        dims = "x".join("?" if dim is None else str(dim) for dim in self.shape)
        return f"{self.name}: {self.dtype}[{dims}]"
