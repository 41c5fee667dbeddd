"""What quantizing one tensor, or one layer, alone does to the network's output."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edgeresnet.core.contract import batch_of
from edgeresnet.core.cores import cores
from edgeresnet.core.progress import Progress, silent
from edgeresnet.core.recipe import Method, Recipe
from edgeresnet.core.target import Scheme
from edgeresnet.core.tensors import Pixels
from edgeresnet.flow.golden import Signature, batch_feeds
from edgeresnet.flow.ordered import ordered
from edgeresnet.quantize.placement import Placement
from edgeresnet.quantize.qdq import insert
from edgeresnet.quantize.ranges import Range, choose_range
from edgeresnet.quantize.statistics import OpenModel, TensorStatistics

if TYPE_CHECKING:
    import onnx

_ALTERNATIVES = (Method.MSE, Method.MINMAX)
_WORTH_TRYING = 1 / 3
"""Share of the tensors, the most sensitive first, that ``auto`` tries other methods on."""
_CLEARLY = 0.85
"""An alternative is taken when its squared error is below this share of what it replaces."""
_SAME_SCALE = 0.05


@dataclass(frozen=True, eq=False)
class Prober:
    """Measures the output error of graphs against the float graph, on a few pictures."""

    model: onnx.ModelProto
    scheme: Scheme
    pictures: Sequence[Pixels]
    open_model: OpenModel
    signature: Signature
    jobs: int | None = None
    weight_bits: int = 8

    def errors(self, trials: Iterable[tuple[Placement, Mapping[str, Range]]]) -> list[float]:
        """For each trial: squared error of the centred logits as a share of their square."""
        exact = self._logits(self.model)
        power = float(np.square(exact).sum())

        def error(trial: tuple[Placement, Mapping[str, Range]]) -> float:
            placement, ranges = trial
            rounded = self._logits(
                insert(self.model, placement, ranges, self.scheme, weight_bits=self.weight_bits)
            )
            return float(np.square(rounded - exact).sum()) / power

        return list(ordered([error] * (self.jobs or cores()), iter(trials)))

    def _logits(self, model: onnx.ModelProto) -> npt.NDArray[np.float64]:
        run = self.open_model(model.SerializeToString(), threads=1)
        batch = batch_of(model)
        rows = [np.array(self.signature(run(batch_feeds(p, batch)))) for p in self.pictures]
        logits = np.stack(rows).astype(np.float64)
        centred: npt.NDArray[np.float64] = logits - logits.mean(1, keepdims=True)
        return centred


def choose_methods(
    prober: Prober,
    placement: Placement,
    statistics: Mapping[str, TensorStatistics],
    recipe: Recipe,
    progress: Progress = silent,
) -> dict[str, Method]:
    """The method of each tensor, by the error that quantizing it alone makes at the output.

    Every tensor is measured with ``lp``; the most sensitive third also with the alternatives.
    """
    names = [name for name in placement.tensors if name not in placement.same_as]
    ranges = {n: choose_range(statistics[n], recipe, prober.scheme, Method.LP) for n in names}
    alone = {name: _only(placement, {name}) for name in names}
    progress("choose methods", 0, 2)
    measured = prober.errors(
        (alone[name], _shared(placement, {name: ranges[name]})) for name in names
    )
    errors = dict(zip(names, measured, strict=True))
    progress("choose methods", 1, 2)
    worst = sorted(names, key=lambda name: -errors[name])
    trials = []
    for name in worst[: max(1, round(len(names) * _WORTH_TRYING))]:
        for method in _ALTERNATIVES:
            other = choose_range(statistics[name], recipe, prober.scheme, method)
            if abs(other.scale / ranges[name].scale - 1) > _SAME_SCALE:
                trials.append((name, method, other))
    found = prober.errors(
        (alone[name], _shared(placement, {name: other})) for name, _, other in trials
    )
    methods = dict.fromkeys(names, Method.LP)
    for (name, method, _), error in zip(trials, found, strict=True):
        bar = _CLEARLY if methods[name] is Method.LP else 1.0
        if error < bar * errors[name]:
            methods[name], errors[name] = method, error
    progress("choose methods", 2, 2)
    return methods


@dataclass(frozen=True)
class LayerSensitivity:
    """What one layer costs when it alone is INT8."""

    layer: str
    squared_error: float
    """Of the centred logits, as a share of their square; those of several layers add up."""
    macs: int

    def as_json(self, total_macs: int) -> dict[str, Any]:
        """For the report."""
        return {
            "layer": self.layer,
            "logit_error": round(self.squared_error**0.5, 5),
            "macs_share": round(self.macs / max(total_macs, 1), 4),
        }


def layer_sensitivity(
    prober: Prober, placement: Placement, ranges: Mapping[str, Range], macs: Mapping[str, int]
) -> tuple[LayerSensitivity, ...]:
    """Every node that reads a quantized tensor, pools apart, the most sensitive first."""
    pools = {node.name for node in prober.model.graph.node if node.op_type == "MaxPool"}
    nodes = sorted({node for _, node in placement.edges} - pools)
    trials = ((_reading(placement, node), ranges) for node in nodes)
    found = zip(nodes, prober.errors(trials), strict=True)
    layers = [LayerSensitivity(node, error, macs.get(node, 0)) for node, error in found]
    return tuple(sorted(layers, key=lambda layer: -layer.squared_error))


def _only(placement: Placement, tensors: set[str]) -> Placement:
    """Q/DQ on these tensors alone, and on those that share their scale; weights stay float."""
    kept = tensors | {name for name, origin in placement.same_as.items() if origin in tensors}
    return Placement(
        frozenset(edge for edge in placement.edges if edge[0] in kept),
        frozenset(),
        {name: origin for name, origin in placement.same_as.items() if origin in tensors},
    )


def _shared(placement: Placement, ranges: dict[str, Range]) -> dict[str, Range]:
    shared = {n: ranges[o] for n, o in placement.same_as.items() if o in ranges}
    return ranges | shared


def _reading(placement: Placement, node: str) -> Placement:
    """What one node reads, and its weights."""
    return replace(
        placement,
        edges=frozenset(edge for edge in placement.edges if edge[1] == node),
        weighted=placement.weighted & {node},
        same_as={},
    )
