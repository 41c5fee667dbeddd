"""Who makes and who reads each tensor of an ONNX graph, as its Quantize/Dequantize nodes see it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from edgeresnet.core.contract import onnx_package
from edgeresnet.core.tensors import Array

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
STANDARD = ("", "ai.onnx")
"""Spellings of the domain of the operators that ONNX itself defines."""
MOVES = {"Flatten", "Identity", "MaxPool", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}
"""Operators that only move values, so that what they give has the scale of what they take."""
_LAYERS = ("Conv", "Gemm")


@dataclass(frozen=True, eq=False)
class Step:
    """One QuantizeLinear or DequantizeLinear; values are None where the graph computes them."""

    node: NodeProto
    scale: Array | None
    zero_point: Array | None
    kind: str
    """Type of the integers, ``int8`` say; empty where the graph does not tell it."""
    shape: tuple[int, ...] | None
    """Of the constant that the step reads, if it reads one."""
    axis: int | None
    """As the node spells it out."""

    @property
    def name(self) -> str:
        """The node's."""
        return name_of(self.node)

    @property
    def has_zero_point(self) -> bool:
        """Whether the node names one."""
        return len(self.node.input) > 2 and bool(self.node.input[2])


@dataclass(frozen=True, eq=False)
class Layer:
    """A convolution or linear layer of one activation, and where its inputs leave integers."""

    node: NodeProto
    activation: Step | None
    weight: Step | None
    bias: Step | None

    @property
    def name(self) -> str:
        """The node's."""
        return name_of(self.node)

    @property
    def output_axis(self) -> int:
        """The axis of the weight that is the layer's output channels."""
        linear = self.node.op_type == "Gemm"
        flipped = any(a.name == "transB" and a.i for a in self.node.attribute)
        return 1 if linear and not flipped else 0


@dataclass(frozen=True, eq=False)
class Wiring:
    """One graph, looked up by the names of its tensors."""

    model: ModelProto
    producer: Mapping[str, NodeProto]
    readers: Mapping[str, tuple[NodeProto, ...]]
    """Of each tensor, nodes that hold a subgraph included; an output of the graph has none more."""
    constants: Mapping[str, TensorProto]
    """Initializers, and what Constant nodes give."""
    depth: Mapping[str, int]
    """Of each activation: layers and other operators on the longest way from the graph's input."""

    @property
    def outputs(self) -> set[str]:
        """Tensors that leave the graph."""
        return {value.name for value in self.model.graph.output}

    @cached_property
    def steps(self) -> Mapping[str, Step]:
        """Every QuantizeLinear and DequantizeLinear, by the tensor it gives."""
        return {
            node.output[0]: self._step(node)
            for node in self.model.graph.node
            if node.op_type in (QUANTIZE, DEQUANTIZE) and node.domain in STANDARD
        }

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """Every Conv and Gemm whose weight is a constant."""
        found = []
        for node in self.model.graph.node:
            if node.op_type in _LAYERS and node.input[1] not in self.depth:
                inputs = (*node.input, "")[:3]
                found.append(Layer(node, *(self.dequantizer(name) for name in inputs)))
        return tuple(found)

    def quantizers(self) -> Iterator[Step]:
        """The first step of each pair: a Quantize, or the Dequantize of a constant."""
        for step in self.steps.values():
            if self.partner(step) is None:
                yield step

    def dequantizer(self, tensor: str) -> Step | None:
        """The DequantizeLinear that ``tensor`` comes through, operators that move values apart."""
        while tensor in self.producer and self.producer[tensor].op_type in MOVES:
            tensor = self.producer[tensor].input[0]
        step = self.steps.get(tensor)
        return step if step is not None and step.node.op_type == DEQUANTIZE else None

    def partner(self, step: Step) -> Step | None:
        """The QuantizeLinear whose integers ``step`` reads."""
        other = self.steps.get(step.node.input[0])
        return other if other is not None and other.node.op_type == QUANTIZE else None

    def before(self, tensor: str) -> NodeProto | None:
        """The node that computes what ``tensor`` holds, seen through Quantize and Dequantize."""
        while tensor in self.steps:
            tensor = self.steps[tensor].node.input[0]
        return self.producer.get(tensor)

    def _step(self, node: NodeProto) -> Step:
        data, scale, zero = (self.constants.get(name) for name in (*node.input, "")[:3])
        typed = data if data is not None and node.op_type == DEQUANTIZE else zero
        return Step(
            node=node,
            scale=_value(scale),
            zero_point=_value(zero),
            kind="" if typed is None else type_of(typed),
            shape=None if data is None else tuple(data.dims),
            axis=next((a.i for a in node.attribute if a.name == "axis"), None),
        )


def wiring(model: ModelProto) -> Wiring:
    """Look through a graph once."""
    nodes = list(model.graph.node)
    readers: dict[str, list[NodeProto]] = {}
    for node in nodes:
        for name in _read_by(node):
            readers.setdefault(name, []).append(node)
    constants = _constants(model)
    return Wiring(
        model,
        producer={name: node for node in nodes for name in node.output if name},
        readers={name: tuple(found) for name, found in readers.items()},
        constants=constants,
        depth=_depths(model, constants),
    )


def name_of(node: NodeProto) -> str:
    """A node's name, or what tells it from others where it has none."""
    return node.name or f"the {node.op_type} that gives {node.output[0] if node.output else '?'}"


def type_of(tensor: TensorProto) -> str:
    """NumPy's name of a constant's type."""
    return str(onnx_package().helper.tensor_dtype_to_np_dtype(tensor.data_type).name)


def _read_by(node: NodeProto) -> Iterator[str]:
    yield from node.input
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                yield from _read_by(inner)


def _constants(model: ModelProto) -> dict[str, TensorProto]:
    onnx = onnx_package()
    found = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Identity" and node.input[0] in found:
            found[node.output[0]] = found[node.input[0]]
        elif node.op_type == "Constant":
            for attribute in node.attribute:
                if attribute.name == "value":
                    found[node.output[0]] = attribute.t
                elif attribute.name in ("value_float", "value_floats"):
                    value = onnx.helper.get_attribute_value(attribute)
                    tensor = onnx.numpy_helper.from_array(np.asarray(value, np.float32))
                    found[node.output[0]] = tensor
    return found


def _depths(model: ModelProto, constants: Mapping[str, TensorProto]) -> dict[str, int]:
    depth = {value.name: 0 for value in model.graph.input if value.name not in constants}
    for node in model.graph.node:
        known = [depth[name] for name in node.input if name in depth]
        if known:
            counts = node.op_type not in (QUANTIZE, DEQUANTIZE)
            depth.update(dict.fromkeys(filter(None, node.output), max(known) + counts))
    return depth


def _value(tensor: TensorProto | None) -> Array | None:
    """A constant's values; None where they lie in another file."""
    onnx = onnx_package()
    if tensor is None or tensor.data_location == onnx.TensorProto.EXTERNAL:
        return None
    return np.asarray(onnx.numpy_helper.to_array(tensor))
