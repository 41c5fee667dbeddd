"""What a network's activations did on the calibration pictures, in bounded memory.

Gathered once; every method, scheme and target reads its ranges from here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edgeresnet.core.contract import copy_of, onnx_package
from edgeresnet.core.errors import ModelError
from edgeresnet.core.tensors import IMAGE, Array, Pixels, Tensors

if TYPE_CHECKING:
    import onnx

BINS = 2048
_STRIDE = 7
"""Every so many values enter the histogram; odd, so that it walks over all rows and columns."""


@dataclass
class TensorStatistics:
    """Extremes and a histogram of one activation tensor, over all pictures.

    The histogram has :data:`BINS` bins over [-reach, reach]; a larger value doubles ``reach`` and
    merges bins two by two, so that memory stays the same and no value is lost.
    """

    low: float = np.inf
    high: float = -np.inf
    reach: float = 0.0
    counts: npt.NDArray[np.int64] | None = None

    def add(self, values: Array) -> None:
        """Take in one tensor of any shape."""
        flat = values.reshape(-1)
        low, high = float(flat.min()), float(flat.max())
        if not math.isfinite(high - low):
            raise ValueError("values that are not finite")
        self.low, self.high = min(self.low, low), max(self.high, high)
        self._grow(max(abs(low), abs(high)))
        sample = flat[::_STRIDE]
        index = (sample * (BINS / 2 / self.reach) + BINS / 2).astype(np.int32)
        counts = np.bincount(np.minimum(index, BINS - 1), minlength=BINS)
        self.counts = counts if self.counts is None else self.counts + counts

    def _grow(self, size: float) -> None:
        if self.reach == 0.0:
            self.reach = max(size, 1e-6) * 1.0001
        while size > self.reach:
            self.reach *= 2
            if self.counts is not None:
                merged = self.counts.reshape(-1, 2).sum(1)
                self.counts = np.zeros(BINS, np.int64)
                self.counts[BINS // 4 : BINS // 4 + BINS // 2] = merged

    def quantile(self, share: float) -> float:
        """The value that ``share`` (0 to 1) of the sampled values do not exceed, to a bin."""
        if self.counts is None:
            raise ValueError("no values were added")
        cumulated = np.cumsum(self.counts) / self.counts.sum()
        edge = int(np.searchsorted(cumulated, share)) + (share > 0.5)
        return (edge / BINS * 2 - 1) * self.reach


Statistics = Mapping[str, TensorStatistics]
"""Tensor name to what it did."""


def observe(
    model: onnx.ModelProto,
    tensors: Sequence[str],
    pictures: Iterable[Pixels],
    open_model: Callable[[bytes], Callable[[Tensors], Tensors]],
) -> dict[str, TensorStatistics]:
    """Run the float contract graph over fitted pictures, one batch in memory at a time.

    A last batch that is not full is filled up with its own first picture.
    """
    onnx = onnx_package()
    exposed = copy_of(model)
    exposed.graph.output.extend(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in tensors
    )
    run = open_model(exposed.SerializeToString())
    batch = model.graph.input[0].type.tensor_type.shape.dim[0].dim_value
    statistics = {name: TensorStatistics() for name in tensors}
    waiting: list[Pixels] = []

    def flush() -> None:
        outputs = run({IMAGE: np.stack([waiting[i % len(waiting)] for i in range(batch)])})
        for name, found in statistics.items():
            try:
                found.add(outputs[name][: len(waiting)])
            except ValueError as error:
                raise ModelError(f"the float graph gives {error} in {name}") from error
        waiting.clear()

    for picture in pictures:
        waiting.append(picture)
        if len(waiting) == batch:
            flush()
    if waiting:
        flush()
    return statistics
