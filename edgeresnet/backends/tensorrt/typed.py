"""The contract graph with half precision written into it, for strongly typed networks."""

from __future__ import annotations

from collections.abc import Mapping, MutableSequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgeresnet.backends.tensorrt.onnx_types import (
    brought_to,
    copy_of_tensor,
    inline_constants,
    opset_of,
    refuse_strangers,
    refused,
    takes_half,
    types_of,
)
from edgeresnet.backends.tensorrt.scales import LARGEST, activation_scale, weight_scale
from edgeresnet.core.artifacts import Graph
from edgeresnet.core.contract import DECODE, NORMALISED, PREFIX, copy_of, load_onnx
from edgeresnet.core.errors import ModelError, ProfileError
from edgeresnet.core.files import whole_file
from edgeresnet.core.schema import nearest
from edgeresnet.core.tensors import IMAGE, Array

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

PRECISIONS = ("float16", "float32")
_QUANTIZE, _DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
_HALF_SCALES_OPSET = 19
_ENDLESS = ("Clip", "Max", "Min", "Pad")
"""Operators whose constants may stand for "without end": those become the largest half."""
_SINGLE, _HALF = TensorProto.FLOAT, TensorProto.FLOAT16
_WIDE = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.BFLOAT16)


def write_typed(graph: Graph, precision: str, out: Path) -> None:
    """Write ``graph`` for TensorRT, what is not INT8 in ``precision`` (see :func:`typed`).

    The names of nodes, input and output stay. The metadata goes, since the manifest has it: the
    same network gives the same file, whatever else was found out about it. ModelError names the
    node that half precision cannot hold.
    """
    if precision not in PRECISIONS:
        raise ProfileError(f"no precision {precision!r}", hint=nearest(precision, PRECISIONS))
    model = load_onnx(graph.path)
    try:
        model = typed(model) if precision == "float16" else copy_of(model)
        cast_first(model.graph)
    except ModelError as error:
        raise ModelError(f"{graph.path}: {error.what}", hint=error.hint) from error
    del model.metadata_props[:]
    with whole_file(out) as temporary:
        onnx.save(model, str(temporary))


def typed(model: ModelProto) -> ModelProto:
    """A contract graph in float16, scales and biases as well: each tensor has one type.

    A scale of another type than the tensors around it fails to build on some GPUs. Scales in
    float16 need opset 19, which a graph with any is brought to; a float graph keeps its own.

    Normalisation stays float32, and what it gives is cast: in float16 twice as many of the INT8
    inputs of the network come out one off, and either way it is one kernel. A bias is
    rounded by at most 2^-11 of itself, no more than the float16 sum that it goes into. The logits
    are cast to float32, as the contract wants them.
    """
    refuse_strangers(model)
    quantized = any(node.op_type in (_QUANTIZE, _DEQUANTIZE) for node in model.graph.node)
    model = brought_to(_HALF_SCALES_OPSET, model) if quantized else copy_of(model)
    inline_constants(model.graph)
    writer = _Writer(model.graph, types_of(model), opset_of(model))
    for node in model.graph.node:
        writer.visit(node)
    del model.graph.initializer[:]
    model.graph.initializer.extend(writer.written.values())
    del model.graph.value_info[:]
    _cast_input(model.graph)
    _cast_outputs(model.graph)
    _cast_decoding(model)
    _check(model)
    return model


def cast_first(graph: GraphProto) -> None:
    """Let normalisation start with its Cast, in place: TensorRT computes nothing on uint8."""
    chain = [node for node in graph.node if node.name.startswith(PREFIX)]
    at = next((i for i, node in enumerate(chain) if node.op_type == "Cast"), None)
    if at is None or chain[0].input[0] != IMAGE:
        raise ModelError(f"no nodes named {PREFIX}* start at {IMAGE}: not a contract graph")
    if at:
        *before, cast = chain[: at + 1]
        before[0].input[0] = cast.output[0]
        for node in chain[at + 1 :]:
            _rename(node.input, cast.output[0], before[-1].output[0])
        cast.input[0] = IMAGE
        nodes = [cast, *(node for node in graph.node if node.name != cast.name)]
        del graph.node[:]
        graph.node.extend(nodes)


class _Writer:
    """Gives each node's constants the type of its tensors."""

    def __init__(self, graph: GraphProto, types: Mapping[str, int], opset: int) -> None:
        self._constants = {w.name: w for w in graph.initializer}
        self._types = types
        self._opset = opset
        self.written: dict[str, TensorProto] = {}

    def visit(self, node: NodeProto) -> None:
        """Change ``node`` in place."""
        rescaled = node.op_type in (_QUANTIZE, _DEQUANTIZE)
        if rescaled:
            self._rescale(node)
        for attribute in () if _stays(node) else node.attribute:
            if attribute.name == "to" and attribute.i == _SINGLE:
                attribute.i = _HALF
            elif attribute.type == onnx.AttributeProto.TENSOR and attribute.t.data_type == _SINGLE:
                value = _half(numpy_helper.to_array(attribute.t), node)
                attribute.t.CopyFrom(numpy_helper.from_array(value))
        for i, name in enumerate(node.input):
            if not rescaled or i == 2:
                node.input[i] = self._read(node, i, name)

    def _read(self, node: NodeProto, place: int, name: str) -> str:
        """What ``node`` reads instead of ``name``."""
        constant = self._constants.get(name)
        if _stays(node) or self._types.get(name) not in _WIDE:
            return name if constant is None else self._write(name, constant, node, place)
        if self._types[name] != _SINGLE:
            raise refused(node, "reads another floating point than float32")
        takes = takes_half(node.op_type, place, self._opset)
        if constant is None:
            if not takes:
                raise refused(node, f"is {node.op_type}, which float16 cannot be given to")
            return name
        if takes:
            value = _half(numpy_helper.to_array(constant), node)
            constant = numpy_helper.from_array(value, name)
        return self._write(name, constant, node, place)

    def _rescale(self, node: NodeProto) -> None:
        scale, integers = (self._constants.get(name) for name in (node.input[1], node.input[0]))
        if scale is None or scale.data_type != _SINGLE:
            raise refused(node, "has a scale that is not a float32 constant")
        values = numpy_helper.to_array(scale)
        try:
            if integers is None or node.op_type == _QUANTIZE:
                halves = activation_scale(values)
            elif integers.data_type != TensorProto.INT8:
                raise refused(node, "reads constants that are not int8")
            else:
                axis = next((a.i for a in node.attribute if a.name == "axis"), 1)
                found, halves = weight_scale(numpy_helper.to_array(integers), values, axis)
                integers = numpy_helper.from_array(found, integers.name)
        except OverflowError as error:
            raise refused(node, str(error)) from error
        if integers is not None:
            node.input[0] = self._write(node.input[0], integers, node, 0)
        half = numpy_helper.from_array(halves, scale.name)
        node.input[1] = self._write(node.input[1], half, node, 1)

    def _write(self, name: str, tensor: TensorProto, node: NodeProto, place: int) -> str:
        """Keep a constant under its name, or under another if the name has another value."""
        if self.written.setdefault(name, tensor) != tensor:
            name = f"{node.name}.{place}"
            self.written[name] = copy_of_tensor(tensor, name)
        return name


def _half(value: Array, node: NodeProto) -> Array:
    """A constant in float16; what is lost beyond rounding is an error."""
    if node.op_type in _ENDLESS:
        value = np.where(np.isfinite(value), np.clip(value, -LARGEST, LARGEST), value)
    with np.errstate(over="ignore"):
        half = value.astype(np.float16)
    if (np.isinf(half) & np.isfinite(value)).any():
        raise refused(node, f"has constants to {np.abs(value).max():.3g}, float16 ends at 65504")
    if value.any() and not half.any():
        raise refused(node, f"has constants of {np.abs(value).max():.3g}, zero in float16")
    return np.asarray(half)


def _stays(node: NodeProto) -> bool:
    """Whether a node computes in float32: normalisation, and a detector's decoding."""
    return node.name.startswith((PREFIX, DECODE))


def _cast_input(graph: GraphProto) -> None:
    """Normalisation hands a half to the network."""
    nodes = list(graph.node)
    at = next((i for i, node in enumerate(nodes) if NORMALISED in node.output), None)
    if at is None or not nodes[at].name.startswith(PREFIX):
        raise ModelError(f"no node named {PREFIX}* gives {NORMALISED}: not a contract graph")
    single = f"{PREFIX}single"
    nodes[at].output[:] = [single]
    cast = helper.make_node("Cast", [single], [NORMALISED], name=f"{PREFIX}Half", to=_HALF)
    graph.node.insert(at + 1, cast)


def _cast_outputs(graph: GraphProto) -> None:
    """What leaves the graph is float32, under its own name."""
    single = {name for node in graph.node if _stays(node) for name in node.output}
    for value in graph.output:
        if value.type.tensor_type.elem_type != _SINGLE or value.name in single:
            continue
        half = f"{value.name}.half"
        for node in graph.node:
            for names in (node.input, node.output):
                _rename(names, value.name, half)
        graph.node.append(
            helper.make_node("Cast", [half], [value.name], name=f"{value.name}.Cast", to=_SINGLE)
        )


def _cast_decoding(model: ModelProto) -> None:
    """Decoding gets float32 of what the heads give: half precision has no place for pixel 2049."""
    graph = model.graph
    halves = {name for node in graph.node if not _stays(node) for name in node.output}
    nodes: list[NodeProto] = []
    cast: set[str] = set()
    for node in graph.node:
        for name in {*node.input} & halves if node.name.startswith(DECODE) else ():
            single = f"{DECODE}{name}.single"
            _rename(node.input, name, single)
            if name not in cast:
                cast.add(name)
                call = f"{DECODE}{name}.Single"
                nodes.append(helper.make_node("Cast", [name], [single], name=call, to=_SINGLE))
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)


def _rename(names: MutableSequence[str], old: str, new: str) -> None:
    names[:] = [new if name == old else name for name in names]


def _check(model: ModelProto) -> None:
    """Every tensor between the two casts is a half or no floating point at all."""
    types = types_of(model)
    outputs = {value.name for value in model.graph.output}
    for node in model.graph.node:
        for name in node.output:
            wide = types.get(name) in _WIDE and name not in outputs
            if wide and not _stays(node):
                raise refused(node, f"({node.op_type}) cannot give float16")
    onnx.checker.check_model(model, full_check=True)
