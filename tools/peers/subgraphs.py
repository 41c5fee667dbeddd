"""Where a layer of a Q/DQ graph ends, what feeds it, and the part between two tensors."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import onnx

from edgeresnet.core.contract import copy_of
from edgeresnet.core.tensors import Tensors

_make_value = onnx.helper.make_tensor_value_info


@dataclass(frozen=True)
class End:
    """Where a layer ends with all that runtimes fuse into it."""

    tensor: str
    """Rounded, where the graph rounds it: what the next layer sees."""
    feed: str
    """Where values of ``tensor`` can be fed in its stead: before the Quantize, which leaves values
    that are rounded already as they are."""


def rounded(model: onnx.ModelProto, layer: onnx.NodeProto) -> End:
    """Follow ``layer`` through its Relu, Quantize and Dequantize, as far as there are any."""
    takers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            takers.setdefault(name, []).append(node)
    feed = layer.output[0]
    while [node.op_type for node in takers.get(feed, [])] == ["Relu"]:
        feed = takers[feed][0].output[0]
    for quantize in takers.get(feed, []):
        if quantize.op_type == "QuantizeLinear":
            return End(takers[quantize.output[0]][0].output[0], feed)
    return End(feed, feed)


def nearest(
    node: onnx.NodeProto, makers: Mapping[str, onnx.NodeProto], known: Collection[str]
) -> set[str]:
    """The ``known`` tensors that reach ``node`` without passing another of them."""
    found: set[str] = set()
    ahead = list(node.input)
    while ahead:
        tensor = ahead.pop()
        if tensor in known:
            found.add(tensor)
        elif tensor in makers:
            ahead.extend(makers[tensor].input)
    return found


def exposed(model: onnx.ModelProto, tensors: Sequence[str]) -> onnx.ModelProto:
    """The whole model with ``tensors`` as outputs too."""
    whole = copy_of(model)
    there = {output.name for output in whole.graph.output}
    missing = [name for name in tensors if name not in there]
    whole.graph.output.extend(_make_value(t, onnx.TensorProto.FLOAT, None) for t in missing)
    return whole


def cut(model: onnx.ModelProto, feeds: Tensors, tensor: str) -> onnx.ModelProto:
    """The part of ``model`` from ``feeds`` to ``tensor``, its only output, for one row of each."""
    wanted, kept = {tensor}, []
    for node in reversed(model.graph.node):  # a graph's nodes are sorted: makers come first
        if wanted.intersection(node.output) and not feeds.keys() & set(node.output):
            kept.append(node)
            wanted.update(node.input)
    part = copy_of(model)
    graph = part.graph
    constants = [value for value in model.graph.initializer if value.name in wanted]
    for field in ("node", "initializer", "input", "output", "value_info"):
        graph.ClearField(field)
    graph.node.extend(reversed(kept))
    graph.initializer.extend(constants)
    for name, array in feeds.items():
        kind = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
        graph.input.append(_make_value(name, kind, (1, *array.shape[1:])))
    graph.output.append(_make_value(tensor, onnx.TensorProto.FLOAT, None))
    return part
