"""Calibrate a float graph once, for every scheme, method and target."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeresnet.core.recipe import Recipe
from edgeresnet.core.target import Scheme
from edgeresnet.core.tensors import Pixels
from edgeresnet.quantize.equalize import Equalized, equalize, reapply, streams
from edgeresnet.quantize.placement import place
from edgeresnet.quantize.ranges import choose_range
from edgeresnet.quantize.statistics import Floats, OpenModel, TensorStatistics, observe

if TYPE_CHECKING:
    import onnx

_FIRST_LOOK = 32
"""Pictures that decide which channels are rescaled."""
_ENOUGH = 8
"""Pictures without which no channel is rescaled."""
_SETTLED = 0.05
"""Median change of the ranges, from half of the pictures to all, below which they have settled."""
_UNSETTLED = 0.15
_HALF = 0.6


@dataclass(frozen=True)
class Convergence:
    """How the ranges moved while pictures were added."""

    pictures: tuple[int, ...]
    change: tuple[float, ...]
    """Median over the tensors of how far the range was from the final one, as a share of it."""
    unsettled: tuple[str, ...]
    """Tensors whose range still moved by more than 15 % after half of the pictures."""

    @property
    def settled(self) -> bool | None:
        """Whether half of the pictures gave nearly the same ranges; None with too few to tell."""
        return None if self.half_change is None else self.half_change <= _SETTLED

    @property
    def half_change(self) -> float | None:
        """How far the ranges of about half of the pictures were from the final ones."""
        earlier = [
            change
            for pictures, change in zip(self.pictures, self.change, strict=True)
            if pictures <= _HALF * self.pictures[-1]
        ]
        return earlier[-1] if earlier else None

    def as_json(self) -> dict[str, Any]:
        """For the report."""
        return {
            "pictures": list(self.pictures),
            "change": [round(c, 4) for c in self.change],
            "unsettled": list(self.unsettled),
            "settled": self.settled,
        }


@dataclass(frozen=True, eq=False)
class Calibration:
    """Statistics of a float graph on a list of pictures, good for every method and scheme."""

    statistics: Mapping[str, TensorStatistics]
    """Of the rescaled graph."""
    equalized: tuple[Equalized, ...]
    digests: tuple[str, ...]
    """Of the picture files, in the order they were seen."""
    convergence: Convergence
    seconds: float
    may_equalize: bool
    """Whether rescaling was allowed."""

    def rescaled(self, model: onnx.ModelProto) -> onnx.ModelProto:
        """The float graph that the statistics are of."""
        return reapply(model, {done.stream.name: done.factors for done in self.equalized})


def observed_tensors(model: onnx.ModelProto) -> list[str]:
    """Every tensor that some scheme quantizes or some layer reads."""
    schemes = (Scheme.U8_AFFINE, Scheme.S8_SYMMETRIC)
    placed = {name for scheme in schemes for name in place(model, scheme).tensors}
    return sorted(placed | {name for stream in streams(model) for name in stream.inputs})


def calibrate(
    model: onnx.ModelProto,
    pictures: Iterator[Pixels],
    digests: list[str],
    recipe: Recipe,
    open_model: OpenModel,
    *,
    jobs: int | None = None,
) -> Calibration:
    """Observe a float contract graph on fitted pictures, at most one batch a job in memory.

    ``digests`` grows as ``pictures`` is read: the caller's list of the files that were readable.
    """
    started = time.perf_counter()
    tensors = observed_tensors(model)
    settling = _Settling()
    statistics: Mapping[str, TensorStatistics] = {}
    done: tuple[Equalized, ...] = ()
    if recipe.equalize:
        first = list(islice(pictures, _FIRST_LOOK))
        statistics = settling.watch(observe(model, tensors, first, open_model, jobs=jobs))
        if len(first) >= _ENOUGH:  # a channel asleep in so few may be wide awake in the next
            model, done = equalize(model, statistics)
        if done:  # other channels, other ranges: look again
            settling, statistics, pictures = _Settling(), {}, chain(first, pictures)
    more = observe(model, tensors, pictures, open_model, jobs=jobs, known=statistics)
    statistics = settling.watch(more) or statistics
    seconds = time.perf_counter() - started
    convergence = settling.convergence(statistics)
    return Calibration(statistics, done, tuple(digests), convergence, seconds, recipe.equalize)


class _Settling:
    """Looks at the ranges whenever the number of pictures has doubled."""

    def __init__(self) -> None:
        self._scales: dict[int, Floats] = {}
        self._next = 8

    def watch(self, found: Iterable[dict[str, TensorStatistics]]) -> Mapping[str, TensorStatistics]:
        """Run through ``found`` to its end, which is given."""
        statistics: Mapping[str, TensorStatistics] = {}
        for statistics in found:
            pictures = next(iter(statistics.values())).pictures
            if pictures >= self._next:
                self._scales[pictures] = _scales(statistics)
                self._next = 2 * pictures
        return statistics

    def convergence(self, statistics: Mapping[str, TensorStatistics]) -> Convergence:
        """What the looks so far tell, the last one now."""
        if not statistics:
            return Convergence((), (), ())
        final = _scales(statistics)
        total = next(iter(statistics.values())).pictures
        moved = {n: np.abs(s / final - 1) for n, s in self._scales.items() if n < total}
        earlier = [n for n in moved if n <= _HALF * total]
        late = moved[earlier[-1]] > _UNSETTLED if earlier else np.zeros(len(final), bool)
        names = [name for name, is_late in zip(statistics, late, strict=True) if is_late]
        change = (*(float(np.median(m)) for m in moved.values()), 0.0)
        return Convergence((*moved, total), change, tuple(names))


def _scales(statistics: Mapping[str, TensorStatistics]) -> Floats:
    recipe = Recipe(name="", description="")
    return np.array(
        [choose_range(found, recipe, Scheme.U8_AFFINE).scale for found in statistics.values()]
    )
