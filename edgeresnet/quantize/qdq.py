"""Write Quantize/Dequantize pairs into a float contract graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeresnet.core.contract import copy_of, onnx_package
from edgeresnet.core.target import Scheme
from edgeresnet.core.tensors import Array
from edgeresnet.quantize.placement import Placement
from edgeresnet.quantize.ranges import Range, quantize_weight
from edgeresnet.quantize.statistics import Floats

if TYPE_CHECKING:
    import onnx


def insert(
    model: onnx.ModelProto,
    placement: Placement,
    ranges: Mapping[str, Range],
    scheme: Scheme,
    *,
    means: Mapping[str, Floats] | None = None,
    weight_bits: int = 8,
) -> onnx.ModelProto:
    """A copy of ``model`` with one Q/DQ pair a tensor, read by the placed nodes only.

    Weights become INT8 constants behind a DequantizeLinear on axis 0, each node its own: OpenVINO
    2026.4.1 runs convolutions that share them, as a detector's head at each level, in float.
    ``u8-affine`` also makes biases INT32 in units of input scale times weight scale, as ONNX
    Runtime's integer kernels want them; ``s8-symmetric`` leaves them in float, as TensorRT wants
    them.
    """
    onnx = onnx_package()
    result = copy_of(model)
    graph = result.graph
    weights = {w.name: onnx.numpy_helper.to_array(w) for w in graph.initializer}
    writer = _Writer(graph)
    readers = _readers(placement)
    nodes: list[Any] = []
    for node in graph.node:
        if node.name in placement.weighted:
            mean = None if means is None else means.get(node.input[0])
            nodes += _weights(
                node, weights, ranges[node.input[0]], scheme, writer, mean, weight_bits
            )
        for i, name in enumerate(node.input):
            if node.name in readers.get(name, ()):
                node.input[i] = f"{name}.dequantized"
        nodes.append(node)
        for output in node.output:
            if output in readers:
                nodes += writer.pair(output, ranges[output])
    del graph.node[:]
    graph.node.extend(nodes)
    used = {name for node in graph.node for name in node.input}
    kept = [w for w in graph.initializer if w.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    return result


def _readers(placement: Placement) -> dict[str, set[str]]:
    """Quantized tensor to the names of the nodes that read it through its pair."""
    readers: dict[str, set[str]] = {}
    for tensor, node in placement.edges:
        readers.setdefault(tensor, set()).add(node)
    return readers


class _Writer:
    """Adds constants and Q/DQ nodes to one graph."""

    def __init__(self, graph: Any) -> None:
        self._graph = graph
        self._onnx = onnx_package()

    def constant(self, name: str, value: Array) -> str:
        self._graph.initializer.append(self._onnx.numpy_helper.from_array(value, name))
        return name

    def pair(self, tensor: str, found: Range) -> list[Any]:
        kind = np.int8 if found.signed else np.uint8
        scale = self.constant(f"{tensor}.scale", np.array(found.scale, np.float32))
        zero = self.constant(f"{tensor}.zero_point", np.array(found.zero_point, kind))
        make = self._onnx.helper.make_node
        quantized, back = f"{tensor}.quantized", f"{tensor}.dequantized"
        return [
            make("QuantizeLinear", [tensor, scale, zero], [quantized], name=f"{tensor}.Quantize"),
            make("DequantizeLinear", [quantized, scale, zero], [back], name=f"{tensor}.Dequantize"),
        ]

    def dequantize(self, name: str, value: Array, scale: Array) -> tuple[str, Any]:
        """A constant behind a DequantizeLinear per channel, on axis 0."""
        inputs = [
            self.constant(f"{name}.quantized", value),
            self.constant(f"{name}.scale", scale),
            self.constant(f"{name}.zero_point", np.zeros(scale.shape, value.dtype)),
        ]
        output = f"{name}.dequantized"
        node = self._onnx.helper.make_node(
            "DequantizeLinear", inputs, [output], name=f"{name}.Dequantize", axis=0
        )
        return output, node


def _weights(
    node: Any,
    weights: Mapping[str, Array],
    found: Range,
    scheme: Scheme,
    writer: _Writer,
    mean: Floats | None,
    bits: int,
) -> list[Any]:
    bias = weights[node.input[2]] if len(node.input) > 2 else None
    integer_bias = bias is not None and scheme is Scheme.U8_AFFINE
    exact = weights[node.input[1]]
    weight, scale = quantize_weight(exact, bias if integer_bias else None, found.scale, bits)
    if bias is not None and mean is not None:
        bias = bias + _mean_shift(exact, weight, scale, mean)
    node.input[1], dequantize = writer.dequantize(f"{node.name}.weight", weight, scale)
    nodes = [dequantize]
    if bias is not None and integer_bias:
        unit = (np.float32(found.scale) * scale).astype(np.float32)
        integers = np.rint(bias.astype(np.float64) / unit).astype(np.int32)
        node.input[2], dequantize = writer.dequantize(f"{node.name}.bias", integers, unit)
        nodes.append(dequantize)
    elif bias is not None and mean is not None:
        node.input[2] = writer.constant(f"{node.name}.bias.corrected", bias.astype(np.float32))
    return nodes


def _mean_shift(exact: Array, rounded: Array, scale: Array, mean: Floats) -> Floats:
    """What rounding the weights takes from each output channel on average.

    Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction" (2019),
    with the means measured; the zeros of the padding are taken as part of the map.
    """
    lost = exact - rounded * scale.reshape(-1, *[1] * (exact.ndim - 1))
    per_channel = lost.reshape(*exact.shape[:2], -1).sum(2, dtype=np.float64)
    rows, width = per_channel.shape
    groups = len(mean) // width
    inputs = np.repeat(mean.reshape(groups, width), rows // groups, axis=0)
    shift: Floats = (per_channel * inputs).sum(1)
    return shift
