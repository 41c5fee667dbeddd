"""Fold each BatchNorm into the convolution before it, and keep what it knew of the training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeresnet.core.contract import onnx_package
from edgeresnet.core.tensors import Array
from edgeresnet.match.moments import NormStatistics

if TYPE_CHECKING:
    import onnx


def fold_batchnorms(model: onnx.ModelProto) -> dict[str, NormStatistics]:
    """Fold in place, in double precision; tensor name to what the norm expects of that tensor.

    With input mean m and variance v kept from the training, weight g and bias b, the norm's output
    has mean b and variance g^2 v / (v + eps) when the pictures are like those of the training;
    the tensor of that name carries it before and after the fold. Of a norm that never gathered any
    (mean 0 and variance 1 throughout) nothing is told. A norm that does not directly follow a
    convolution of its own stays a node.
    """
    onnx = onnx_package()
    graph = model.graph
    inline_constants(graph)
    weights = {w.name: onnx.numpy_helper.to_array(w) for w in graph.initializer}
    producer = {name: node for node in graph.node for name in node.output}
    uses: dict[str, int] = {}
    for node in graph.node:
        for name in node.input:
            uses[name] = uses.get(name, 0) + 1
    pictures = _four_dimensional(model)
    statistics: dict[str, NormStatistics] = {}
    replaced: dict[str, Array] = {}
    folded: list[Any] = []
    for node in graph.node:
        if node.op_type != "BatchNormalization" or not set(node.input[1:5]) <= weights.keys():
            continue
        gamma, beta, mean, variance = (weights[n].astype(np.float64) for n in node.input[1:5])
        eps = next((a.f for a in node.attribute if a.name == "epsilon"), 1e-5)
        if node.output[0] in pictures and (mean.any() or (variance != 1).any()):
            expected = gamma**2 * variance / (variance + eps)
            statistics[node.output[0]] = NormStatistics(beta, expected)
        conv = producer.get(node.input[0])
        if conv is None or conv.op_type != "Conv" or uses[node.input[0]] > 1:
            continue
        if uses[conv.input[1]] > 1 or not {n for n in conv.input[1:] if n} <= weights.keys():
            continue
        factor = gamma / np.sqrt(variance + eps)
        old_bias = conv.input[2] if len(conv.input) > 2 else ""
        bias = weights[old_bias].astype(np.float64) if old_bias else 0.0
        kernel = weights[conv.input[1]].astype(np.float64)
        replaced[conv.input[1]] = kernel * factor[:, None, None, None]
        bias_name = f"{conv.name}.bias"
        if uses.get(bias_name, 0) > (old_bias == bias_name):  # exporters share equal biases
            bias_name = f"{node.output[0]}.folded_bias"
        replaced[bias_name] = beta + (bias - mean) * factor
        del conv.input[2:]
        conv.input.append(bias_name)
        conv.output[0] = node.output[0]
        folded.append(node)
    for node in folded:
        graph.node.remove(node)
    _replace_weights(graph, replaced)
    return statistics


def _four_dimensional(model: onnx.ModelProto) -> set[str]:
    """Tensors of pictures x channels x height x width; a BatchNorm1d in a head has others."""
    onnx = onnx_package()
    inferred = onnx.shape_inference.infer_shapes(model)
    return {v.name for v in inferred.graph.value_info if len(v.type.tensor_type.shape.dim) == 4}


def inline_constants(graph: Any) -> None:
    """Make Constant nodes and Identities of weights plain initializers."""
    onnx = onnx_package()
    names = {w.name for w in graph.initializer}
    alias: dict[str, str] = {}
    gone = []
    for node in graph.node:
        if node.op_type == "Constant" and (value := _value(node.attribute[0])) is not None:
            graph.initializer.append(onnx.numpy_helper.from_array(value, node.output[0]))
            names.add(node.output[0])
            gone.append(node)
        elif node.op_type == "Identity" and alias.get(node.input[0], node.input[0]) in names:
            alias[node.output[0]] = alias.get(node.input[0], node.input[0])
            gone.append(node)
    for node in gone:
        graph.node.remove(node)
    for node in graph.node:
        for i, name in enumerate(node.input):
            node.input[i] = alias.get(name, name)


def _value(attribute: Any) -> Array | None:
    onnx = onnx_package()
    value = onnx.helper.get_attribute_value(attribute)
    if attribute.name == "value":
        return np.asarray(onnx.numpy_helper.to_array(value))
    if attribute.name in ("value_float", "value_floats"):
        return np.array(value, np.float32)
    return np.array(value, np.int64) if attribute.name in ("value_int", "value_ints") else None


def _replace_weights(graph: Any, replaced: Mapping[str, Array]) -> None:
    onnx = onnx_package()
    used = {name for node in graph.node for name in node.input}
    kept = [w for w in graph.initializer if w.name in used and w.name not in replaced]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    for name, value in replaced.items():
        graph.initializer.append(onnx.numpy_helper.from_array(value.astype(np.float32), name))
