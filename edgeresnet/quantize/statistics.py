"""What a network's activations did on the calibration pictures, in bounded memory.

Gathered once; every method, scheme and target reads its ranges from here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from edgeresnet.core.contract import batch_of, expose
from edgeresnet.core.cores import cores
from edgeresnet.core.errors import ModelError
from edgeresnet.core.tensors import IMAGE, Array, Pixels, Tensors
from edgeresnet.flow.ordered import ordered

if TYPE_CHECKING:
    import onnx

Floats: TypeAlias = npt.NDArray[np.float64]
OpenModel: TypeAlias = Callable[..., Callable[[Tensors], Tensors]]
"""Model bytes, and how many threads one run may use, to what runs it."""

BINS = 4096
_STRIDE = 11
"""Every so many values of a large tensor enter its histogram; the number divides no usual width of
a feature map, so that the sample walks over all rows and columns."""
_SMALL = 1 << 15
"""Values of a tensor that is small enough to enter whole."""


@dataclass(eq=False)
class TensorStatistics:
    """One activation tensor over all pictures; the arrays have one entry a channel (axis 1).

    The histogram has :data:`BINS` bins over [-reach, reach], ``reach`` a power of two; a larger
    value doubles it and merges bins two by two, so memory stays the same, no value is lost, and
    the order in which pictures come changes nothing.
    """

    pictures: int
    lows: Floats
    highs: Floats
    peaks: Floats
    """Sum over the pictures of each channel's largest absolute value."""
    sums: Floats
    squares: Floats
    values: int
    """Values a channel that ``sums`` and ``squares`` run over."""
    reach: float
    counts: npt.NDArray[np.int64]

    @classmethod
    def of(cls, values: Array) -> TensorStatistics:
        """The statistics of one batch of any shape, channels on axis 1."""
        rows = values.reshape(values.shape[0], values.shape[1], -1)
        lows, highs = rows.min(2), rows.max(2)
        size = max(abs(float(lows.min())), abs(float(highs.max())))
        if not math.isfinite(size):
            raise ValueError("values that are not finite")
        reach = 2.0 ** math.ceil(math.log2(max(size, 1e-30) * (1 + 1e-9)))
        flat = values.reshape(-1)
        sample = flat if flat.size <= _SMALL else flat[::_STRIDE]
        index = np.floor(sample * np.float32(BINS / 2 / reach)).astype(np.int32) + BINS // 2
        return cls(
            pictures=len(rows),
            lows=lows.min(0).astype(np.float64),
            highs=highs.max(0).astype(np.float64),
            peaks=np.maximum(highs, -lows).sum(0, dtype=np.float64),
            sums=rows.sum(2).sum(0, dtype=np.float64),
            squares=np.einsum("ncx,ncx->c", rows, rows).astype(np.float64),
            values=len(rows) * rows.shape[2],
            reach=reach,
            counts=np.bincount(np.minimum(index, BINS - 1), minlength=BINS),
        )

    def add(self, other: TensorStatistics) -> None:
        """Take in what was seen on other pictures."""
        reach = max(self.reach, other.reach)
        self.counts = self._reaching(reach) + other._reaching(reach)
        self.reach = reach
        self.lows = np.minimum(self.lows, other.lows)
        self.highs = np.maximum(self.highs, other.highs)
        for name in ("pictures", "peaks", "sums", "squares", "values"):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def _reaching(self, reach: float) -> npt.NDArray[np.int64]:
        """The histogram over a reach that is larger by a power of two."""
        counts, present = self.counts, self.reach
        while present < reach:
            merged = np.zeros_like(counts)
            merged[BINS // 4 : BINS // 4 + BINS // 2] = counts.reshape(-1, 2).sum(1)
            counts, present = merged, present * 2
        return counts

    @property
    def low(self) -> float:
        """The smallest value."""
        return float(self.lows.min())

    @property
    def high(self) -> float:
        """The largest value."""
        return float(self.highs.max())

    @property
    def means(self) -> Floats:
        """Mean of each channel."""
        return self.sums / self.values

    @property
    def centres(self) -> Floats:
        """The middle of each bin."""
        return ((np.arange(BINS) + 0.5) / BINS * 2 - 1) * self.reach

    def quantile(self, share: float) -> float:
        """The value that ``share`` (0 to 1) of the sampled values do not exceed, to a bin."""
        cumulated = np.cumsum(self.counts) / self.counts.sum()
        edge = int(np.searchsorted(cumulated, share)) + (share > 0.5)
        return (edge / BINS * 2 - 1) * self.reach


def observe(
    model: onnx.ModelProto,
    tensors: Sequence[str],
    pictures: Iterable[Pixels],
    open_model: OpenModel,
    *,
    jobs: int | None = None,
    known: Mapping[str, TensorStatistics] | None = None,
) -> Generator[dict[str, TensorStatistics]]:
    """Run the float contract graph over fitted pictures; give the statistics after each batch.

    The same, growing, mapping is given each time; it starts with ``known``. ``jobs`` threads run a
    batch each on one core, by default as many as there are cores; the result does not depend on
    their number, to the last bit. A last batch that is not full is filled up with its own first
    picture.
    """
    batch = batch_of(model)
    run = open_model(expose(model, tensors).SerializeToString(), threads=1)

    def summarise(group: list[Pixels]) -> dict[str, TensorStatistics]:
        outputs = run({IMAGE: np.stack([group[i % len(group)] for i in range(batch)])})
        found = {}
        for name in tensors:
            try:
                found[name] = TensorStatistics.of(outputs[name][: len(group)])
            except ValueError as error:
                raise ModelError(f"the float graph gives {error} in {name}") from error
        return found

    total: dict[str, TensorStatistics] = dict(known or {})
    for found in ordered([summarise] * (jobs or cores()), _grouped(pictures, batch)):
        if not total:
            total.update(found)
        else:
            for name, seen in found.items():
                total[name].add(seen)
        yield total


def _grouped(pictures: Iterable[Pixels], batch: int) -> Iterator[list[Pixels]]:
    remaining = iter(pictures)
    while group := list(islice(remaining, batch)):
        yield group
