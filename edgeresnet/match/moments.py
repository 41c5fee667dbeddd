"""What the BatchNorms of a network expected, and what they see on other pictures."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from edgeresnet.core.contract import copy_of
from edgeresnet.core.errors import ModelError
from edgeresnet.core.tensors import LOGITS, Tensors

if TYPE_CHECKING:
    import onnx

Floats: TypeAlias = npt.NDArray[np.float64]
_KL_CAP = 5.0


@dataclass(frozen=True, eq=False)
class NormStatistics:
    """Mean and variance, one a channel, that a BatchNorm's output had in the training."""

    mean: Floats
    variance: Floats


def pack(statistics: Mapping[str, NormStatistics]) -> str:
    """Text for a graph's metadata."""

    def text(values: Floats) -> str:
        return base64.b64encode(values.astype("<f4").tobytes()).decode("ascii")

    return json.dumps({k: [text(s.mean), text(s.variance)] for k, s in statistics.items()})


def unpack(packed: str) -> dict[str, NormStatistics]:
    """Read what :func:`pack` wrote."""

    def values(text: str) -> Floats:
        return np.frombuffer(base64.b64decode(text, validate=True), "<f4").astype(np.float64)

    try:
        table = json.loads(packed)
        return {k: NormStatistics(values(m), values(v)) for k, (m, v) in table.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise ModelError(
            f"damaged BatchNorm statistics: {error}", hint="convert the weights again"
        ) from error


def with_moments(body: onnx.ModelProto, tensors: Sequence[str]) -> bytes:
    """A copy of ``body`` that also returns each tensor's mean and mean square a channel."""
    import onnx

    model = copy_of(body)
    make, value = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    for tensor in tensors:
        square, mean, power = (f"{tensor}#{end}" for end in ("square", "mean", "power"))
        model.graph.node.extend(
            [
                make("ReduceMean", [tensor], [mean], axes=[2, 3], keepdims=0),
                make("Mul", [tensor, tensor], [square]),
                make("ReduceMean", [square], [power], axes=[2, 3], keepdims=0),
            ]
        )
        model.graph.output.extend([value(mean, 1, None), value(power, 1, None)])
    return bytes(model.SerializeToString())


@dataclass(frozen=True, eq=False)
class Moments:
    """What the network did on the pictures under one candidate."""

    layers: tuple[tuple[Floats, Floats], ...]
    """A layer: mean and mean square, pictures x channels."""
    top: Floats
    """The largest logit of each picture, over the mean of its logits."""

    def first(self, count: int) -> Moments:
        """Of the first ``count`` pictures."""
        layers = tuple((means[:count], powers[:count]) for means, powers in self.layers)
        return Moments(layers, self.top[:count])


def moments_of(rows: Sequence[Tensors], statistics: Mapping[str, NormStatistics]) -> Moments:
    """Gather what :func:`with_moments` returned for each picture."""

    def stack(name: str) -> Floats:
        return np.asarray(np.concatenate([row[name] for row in rows]), np.float64)

    layers = tuple((stack(f"{tensor}#mean"), stack(f"{tensor}#power")) for tensor in statistics)
    logits = stack(LOGITS)
    return Moments(layers, np.maximum(logits.max(1) - logits.mean(1), 1e-9))


def divergences(moments: Moments, expected: Sequence[NormStatistics], weights: Floats) -> Floats:
    """KL of each layer, averaged over its channels; ``weights`` are counts of the pictures."""
    weights = weights / weights.sum()
    layers = []
    for (means, powers), norm in zip(moments.layers, expected, strict=True):
        alive = norm.variance > 1e-6 * max(float(norm.variance.max()), 1e-12)
        mean = (weights @ means)[alive]
        variance = np.maximum((weights @ powers)[alive] - mean**2, 1e-12)
        wanted = norm.variance[alive]
        ratio = variance / wanted
        kl = (ratio + (mean - norm.mean[alive]) ** 2 / wanted - 1 - np.log(ratio)) / 2
        layers.append(float(np.minimum(np.nan_to_num(kl, nan=_KL_CAP), _KL_CAP).mean()))
    return np.asarray(np.maximum(layers, 1e-9), np.float64)
