"""Rescale channels from layer to layer, so that none drowns in another's quantization step.

A positive factor passes through ReLU, pooling and sums: what one layer's output channel is divided
by, the next layers' weights are multiplied with, and the network computes the same function.
Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction" (2019), here
over whole residual streams, and only where the predicted noise falls clearly.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeresnet.core.contract import copy_of, onnx_package
from edgeresnet.core.tensors import Array
from edgeresnet.quantize.placement import is_layer
from edgeresnet.quantize.statistics import Floats, TensorStatistics

if TYPE_CHECKING:
    import onnx

_HOMOGENEOUS = ("Relu", "MaxPool", "AveragePool", "GlobalAveragePool", "Add", "Flatten", "Identity")
_STEPS = 127
"""Of an activation's range; the symmetric scheme's, which gains most."""
_ENOUGH = 0.7
"""A group is rescaled when its predicted noise falls below this share of what it was."""
_MIXES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
_FLOOR = 1e-6
"""A channel weaker than this share of the strongest counts as this strong."""


@dataclass(frozen=True)
class Stream:
    """Tensors that carry the same channels: made by some layers, read by others."""

    name: str
    """Of the first tensor that a layer reads from it."""
    makers: tuple[str, ...]
    """Names of the nodes whose output channels are rescaled."""
    readers: tuple[str, ...]
    """Names of the nodes whose weights make up for it."""
    inputs: tuple[str, ...]
    """The tensors that the readers read, one each."""
    summed: tuple[str, ...]
    """The tensors that sums read: quantized too, before a ReLU hides what is negative in them."""


@dataclass(frozen=True, eq=False)
class Equalized:
    """One stream that was rescaled."""

    stream: Stream
    factors: Floats
    """What each channel was divided by."""
    before: float
    """Largest channel range by the smallest."""
    after: float

    def as_json(self) -> dict[str, Any]:
        """For the report."""
        return {
            "group": self.stream.name,
            "channels": len(self.factors),
            "layers": [*self.stream.makers, *self.stream.readers],
            "spread_before": round(self.before, 1),
            "spread_after": round(self.after, 1),
        }


def streams(model: onnx.ModelProto) -> tuple[Stream, ...]:
    """Every stream whose channels may be rescaled without changing the network's function."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            name = parent[name]
        return name

    nodes = list(model.graph.node)
    read = Counter(name for node in nodes for name in node.input)
    constants = {w.name for w in model.graph.initializer}
    weights = {name for name in constants if read[name] == 1}
    makers: dict[str, list[Any]] = {}
    readers: dict[str, list[Any]] = {}
    summed: dict[str, list[str]] = {}
    fixed = [value.name for value in (*model.graph.input, *model.graph.output)]
    for node in nodes:
        if node.op_type in _HOMOGENEOUS and not constants & set(node.input):
            for name in (*node.input[1:], *node.output):
                parent[root(name)] = root(node.input[0])
        elif not is_layer(node, weights):
            fixed += [*node.input, *node.output]
    for node in nodes:
        if is_layer(node, weights):
            makers.setdefault(root(node.output[0]), []).append(node)
            readers.setdefault(root(node.input[0]), []).append(node)
        elif node.op_type == "Add":
            summed.setdefault(root(node.output[0]), []).extend(node.input)
    closed = {root(name) for name in fixed}
    return tuple(
        Stream(
            name=readers[key][0].input[0],
            makers=tuple(node.name for node in made),
            readers=tuple(node.name for node in readers[key]),
            inputs=tuple(node.input[0] for node in readers[key]),
            summed=tuple(summed.get(key, ())),
        )
        for key, made in makers.items()
        if key not in closed and key in readers
    )


def channels(model: onnx.ModelProto, stream: Stream) -> int:
    """How many channels a stream carries."""
    (count,) = _Weights(model).outputs(stream.makers)
    return count


def equalize(
    model: onnx.ModelProto, statistics: Mapping[str, TensorStatistics]
) -> tuple[onnx.ModelProto, tuple[Equalized, ...]]:
    """A rescaled copy of a float graph, and what was rescaled; the function stays the same.

    ``statistics`` hold every stream's ``inputs`` and ``summed``, and what its makers read.
    """
    result = copy_of(model)
    weights, unscaled = _Weights(result), _Weights(model)
    done = []
    for stream in streams(model):
        seen = [statistics[name] for name in stream.inputs]
        both = [*seen, *(statistics[name] for name in stream.summed)]
        if len({len(found.sums) for found in both} | weights.outputs(stream.makers)) > 1:
            continue  # flattened maps: a channel became several
        kernels = [weights.by_input(name) for name in stream.readers]
        hidden = [unscaled.expected(name, statistics) for name in stream.makers]
        peaks = np.max([*(found.peaks / found.pictures for found in both), *hidden], axis=0)
        factors = _best(peaks, seen, kernels)
        if factors is not None:
            for name in stream.makers:
                weights.divide_outputs(name, factors)
            for name in stream.readers:
                weights.multiply_inputs(name, factors)
            done.append(Equalized(stream, factors, _spread(peaks), _spread(peaks / factors)))
    return result, tuple(done)


def reapply(model: onnx.ModelProto, factors: Mapping[str, Floats]) -> onnx.ModelProto:
    """The same copy again, from the factors that :func:`equalize` found, by stream name."""
    result = copy_of(model)
    weights = _Weights(result)
    for stream in streams(model):
        if stream.name in factors:
            for name in stream.makers:
                weights.divide_outputs(name, factors[stream.name])
            for name in stream.readers:
                weights.multiply_inputs(name, factors[stream.name])
    return result


def _best(
    peaks: Floats, seen: Sequence[TensorStatistics], kernels: Sequence[Floats]
) -> Floats | None:
    """The factors of least predicted noise, or None where none is clearly better.

    Candidates are activation^mix / weight^(1 - mix): whatever rescaling the network came with
    cancels out of them.
    """
    strengths = np.max([np.abs(kernel).max((0, 2)) for kernel in kernels], axis=0)
    peaks = np.maximum(peaks, max(peaks.max() * _FLOOR, 1e-30))
    strengths = np.maximum(strengths, max(strengths.max() * _FLOOR, 1e-30))
    as_it_is = _noise(np.ones_like(peaks), peaks, seen, kernels)
    best, least = None, as_it_is * _ENOUGH
    for mix in _MIXES:
        factors = peaks**mix / strengths ** (1 - mix)
        factors /= np.exp(np.log(factors).mean())
        noise = _noise(factors, peaks, seen, kernels)
        if noise < least:
            best, least = factors, noise
    return best


def _noise(
    factors: Floats, peaks: Floats, seen: Sequence[TensorStatistics], kernels: Sequence[Floats]
) -> float:
    """Predicted noise by signal power at the readers' outputs, rounding errors taken as uniform.

    The activation's step is set by its strongest channel, a weight row's step by its largest
    weight; both multiply what they are multiplied with in the convolution.
    """
    total = 0.0
    for found, kernel in zip(seen, kernels, strict=True):
        power = found.squares / found.values
        squared = np.square(kernel).sum((0, 2))
        step = (peaks / factors).max() / _STEPS
        row_steps = np.abs(kernel * factors[:, None]).max((1, 2)) / 127
        from_activation = step**2 * (factors**2 * squared).sum()
        from_weights = np.square(row_steps).sum() * (power / factors**2).sum() * kernel.shape[2]
        total += float((from_activation + from_weights) / max((squared * power).sum(), 1e-30)) / 12
    return total


def _spread(peaks: Floats) -> float:
    alive = peaks[peaks > peaks.max() * _FLOOR]
    return float(alive.max() / alive.min()) if len(alive) else 1.0


class _Weights:
    """The weights of one graph, rescaled in place."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._numpy = onnx_package().numpy_helper
        self._stored = {w.name: w for w in model.graph.initializer}
        self._nodes = {node.name: node for node in model.graph.node}

    def by_input(self, node: str) -> Floats:
        """Absolute weights as outputs x input channels x the rest; 0 where a group has none."""
        weight = np.abs(self._array(self._nodes[node].input[1]).astype(np.float64))
        groups = self._groups(node)
        weight = weight.reshape(weight.shape[0], weight.shape[1], -1)
        if groups == 1:
            return weight
        rows, width, rest = weight.shape
        full = np.zeros((rows, width * groups, rest))
        for group in range(groups):
            out = slice(group * rows // groups, (group + 1) * rows // groups)
            full[out, group * width : (group + 1) * width] = weight[out]
        return full

    def expected(self, node: str, statistics: Mapping[str, TensorStatistics]) -> Floats:
        """Expected size of each output channel, were the inputs uncorrelated.

        A ReLU may have hidden a channel so far that the next picture wakes up.
        """
        found = statistics[self._nodes[node].input[0]]
        squared = np.square(self.by_input(node)).sum(2)
        size: Floats = np.sqrt(squared @ (found.squares / found.values))
        return size

    def outputs(self, nodes: Sequence[str]) -> set[int]:
        """How many output channels each of these layers has."""
        return {self._stored[self._nodes[node].input[1]].dims[0] for node in nodes}

    def divide_outputs(self, node: str, factors: Floats) -> None:
        for name in self._nodes[node].input[1:]:
            array = self._array(name)
            self._store(name, array / factors.reshape(-1, *[1] * (array.ndim - 1)))

    def multiply_inputs(self, node: str, factors: Floats) -> None:
        name = self._nodes[node].input[1]
        array = self._array(name)
        groups = self._groups(node)
        per_row = np.repeat(factors.reshape(groups, -1), array.shape[0] // groups, axis=0)
        self._store(name, array * per_row.reshape(*array.shape[:2], *[1] * (array.ndim - 2)))

    def _groups(self, node: str) -> int:
        return next((a.i for a in self._nodes[node].attribute if a.name == "group"), 1)

    def _array(self, name: str) -> Array:
        return np.asarray(self._numpy.to_array(self._stored[name]))

    def _store(self, name: str, array: Array) -> None:
        self._stored[name].CopyFrom(self._numpy.from_array(array.astype(np.float32), name))
