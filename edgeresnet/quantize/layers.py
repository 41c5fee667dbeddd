"""Which layers an INT8 graph computes worst."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgeresnet.core.contract import batch_of, expose
from edgeresnet.core.tensors import IMAGE, Pixels, Tensors

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True)
class LayerNoise:
    """Signal to noise of one layer's output, INT8 against float, in decibels."""

    layer: str
    snr_db: float
    lost_db: float
    """How much worse than the best of the layers that feed it: what this layer itself adds."""


def layer_noise(
    float_: onnx.ModelProto,
    int8: onnx.ModelProto,
    pictures: Sequence[Pixels],
    open_model: Callable[[bytes], Callable[[Tensors], Tensors]],
) -> list[LayerNoise]:
    """Every convolution and linear layer, the one that adds most noise first."""
    nodes = [n for n in float_.graph.node if n.op_type in ("Conv", "Gemm")]
    names = [node.output[0] for node in nodes]
    exact, rounded = (open_model(expose(m, names).SerializeToString()) for m in (float_, int8))
    signal, noise = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)
    batch = batch_of(float_)
    for picture in pictures:
        feeds = {IMAGE: np.repeat(picture[None], batch, axis=0)}
        one, other = exact(feeds), rounded(feeds)
        for name in names:
            signal[name] += float(np.square(one[name], dtype=np.float64).sum())
            noise[name] += float(np.square(one[name] - other[name], dtype=np.float64).sum())
    db = {
        name: 10 * math.log10(max(signal[name], 1e-30) / max(noise[name], 1e-30)) for name in names
    }
    before = _nearest_before(float_, set(names))
    found = [
        LayerNoise(
            node.name,
            db[node.output[0]],
            min((db[b] for b in before[node.output[0]]), default=60.0) - db[node.output[0]],
        )
        for node in nodes
    ]
    return sorted(found, key=lambda layer: -layer.lost_db)


def _nearest_before(model: onnx.ModelProto, names: set[str]) -> dict[str, set[str]]:
    """For each tensor of ``names``, those of ``names`` that feed it most directly."""
    nearest: dict[str, set[str]] = {}
    found: dict[str, set[str]] = {}
    for node in model.graph.node:
        sources: set[str] = set().union(*(nearest.get(name, set()) for name in node.input))
        for output in node.output:
            if output in names:
                found[output] = sources
            nearest[output] = {output} if output in names else sources
    return found
