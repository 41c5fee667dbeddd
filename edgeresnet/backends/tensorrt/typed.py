"""The contract graph with half precision written into it, for strongly typed networks."""

from __future__ import annotations

from collections.abc import Mapping, MutableSequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgeresnet.backends.tensorrt.scales import LARGEST, activation_scale, weight_scale
from edgeresnet.core.artifacts import Graph
from edgeresnet.core.contract import NORMALISED, PREFIX, copy_of, load_onnx
from edgeresnet.core.errors import ModelError, ProfileError
from edgeresnet.core.files import whole_file
from edgeresnet.core.schema import nearest
from edgeresnet.core.tensors import IMAGE, Array
from edgeresnet.core.wiring import STANDARD

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

PRECISIONS = ("float16", "float32")
_QUANTIZE, _DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
_HALF_SCALES_OPSET, _HALF_SCALES_IR = 19, 9
_ENDLESS = ("Clip", "Max", "Min", "Pad")
"""Operators whose constants may stand for "without end": those become the largest half."""
_SINGLE, _HALF = TensorProto.FLOAT, TensorProto.FLOAT16
_WIDE = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.BFLOAT16)
_HINT = 'precision = "float32" in the options of the target computes it'


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
    _refuse_strangers(model)
    quantized = any(node.op_type in (_QUANTIZE, _DEQUANTIZE) for node in model.graph.node)
    model = _brought_to(_HALF_SCALES_OPSET, model) if quantized else copy_of(model)
    _inline_constants(model.graph)
    writer = _Writer(model.graph, _types(model), _opset(model))
    for node in model.graph.node:
        writer.visit(node)
    del model.graph.initializer[:]
    model.graph.initializer.extend(writer.written.values())
    del model.graph.value_info[:]
    _cast_input(model.graph)
    _cast_outputs(model.graph)
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
        for attribute in () if node.name.startswith(PREFIX) else node.attribute:
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
        if node.name.startswith(PREFIX) or self._types.get(name) not in _WIDE:
            return name if constant is None else self._write(name, constant, node, place)
        if self._types[name] != _SINGLE:
            raise _refused(node, "reads another floating point than float32")
        takes = _takes(node.op_type, place, self._opset)
        if constant is None:
            if not takes:
                raise _refused(node, f"is {node.op_type}, which float16 cannot be given to")
            return name
        if takes:
            value = _half(numpy_helper.to_array(constant), node)
            constant = numpy_helper.from_array(value, name)
        return self._write(name, constant, node, place)

    def _rescale(self, node: NodeProto) -> None:
        scale, integers = (self._constants.get(name) for name in (node.input[1], node.input[0]))
        if scale is None or scale.data_type != _SINGLE:
            raise _refused(node, "has a scale that is not a float32 constant")
        values = numpy_helper.to_array(scale)
        try:
            if integers is None or node.op_type == _QUANTIZE:
                halves = activation_scale(values)
            elif integers.data_type != TensorProto.INT8:
                raise _refused(node, "reads constants that are not int8")
            else:
                axis = next((a.i for a in node.attribute if a.name == "axis"), 1)
                found, halves = weight_scale(numpy_helper.to_array(integers), values, axis)
                integers = numpy_helper.from_array(found, integers.name)
        except OverflowError as error:
            raise _refused(node, str(error)) from error
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


def copy_of_tensor(tensor: TensorProto, name: str) -> TensorProto:
    """The same values under another name."""
    copied = TensorProto()
    copied.CopyFrom(tensor)
    copied.name = name
    return copied


def _half(value: Array, node: NodeProto) -> Array:
    """A constant in float16; what is lost beyond rounding is an error."""
    if node.op_type in _ENDLESS:
        value = np.where(np.isfinite(value), np.clip(value, -LARGEST, LARGEST), value)
    with np.errstate(over="ignore"):
        half = value.astype(np.float16)
    if (np.isinf(half) & np.isfinite(value)).any():
        raise _refused(node, f"has constants to {np.abs(value).max():.3g}, float16 ends at 65504")
    if value.any() and not half.any():
        raise _refused(node, f"has constants of {np.abs(value).max():.3g}, zero in float16")
    return np.asarray(half)


def _refused(node: NodeProto, what: str) -> ModelError:
    return ModelError(f"{node.name} {what}", hint=_HINT)


@lru_cache
def _takes(op_type: str, place: int, opset: int) -> bool:
    """Whether an operator takes float16 in a place."""
    inputs = onnx.defs.get_schema(op_type, opset).inputs
    return "tensor(float16)" in inputs[min(place, len(inputs) - 1)].types


def _opset(model: ModelProto) -> int:
    return next(int(o.version) for o in model.opset_import if o.domain in STANDARD)


def _refuse_strangers(model: ModelProto) -> None:
    for node in model.graph.node:
        if node.domain not in STANDARD or not onnx.defs.has(node.op_type):
            raise _refused(node, f"is {node.op_type}, which ONNX does not define")
        if any(a.type in (a.GRAPH, a.GRAPHS) for a in node.attribute):
            raise _refused(node, "holds a graph of its own")


def _brought_to(opset: int, model: ModelProto) -> ModelProto:
    try:
        found: ModelProto = onnx.version_converter.convert_version(model, opset)
    except Exception as error:  # the converter raises bare RuntimeErrors
        raise ModelError(
            f"cannot be brought to opset {opset}: {str(error).strip()[:160]}", hint=_HINT
        ) from error
    found.ir_version = max(found.ir_version, _HALF_SCALES_IR)
    return found


def _inline_constants(graph: GraphProto) -> None:
    """Constant nodes become initializers."""
    kept = []
    for node in graph.node:
        values = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type != "Constant" or "sparse_value" in values:
            kept.append(node)
            continue
        ((kind, value),) = values.items()
        if kind == "value":
            tensor = copy_of_tensor(value, node.output[0])
        else:
            numbers = np.asarray(value, np.float32 if "float" in kind else np.int64)
            tensor = numpy_helper.from_array(numbers, node.output[0])
        graph.initializer.append(tensor)
    del graph.node[:]
    graph.node.extend(kept)


def _types(model: ModelProto) -> dict[str, int]:
    """The element type of each tensor."""
    try:
        inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
    except onnx.shape_inference.InferenceError as error:
        raise ModelError(f"its types do not fit: {str(error).strip()[:200]}", hint=_HINT) from error
    graph = inferred.graph
    types = {w.name: w.data_type for w in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        types[value.name] = value.type.tensor_type.elem_type
    return types


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
    for value in graph.output:
        if value.type.tensor_type.elem_type != _SINGLE:
            continue
        half = f"{value.name}.half"
        for node in graph.node:
            for names in (node.input, node.output):
                _rename(names, value.name, half)
        graph.node.append(
            helper.make_node("Cast", [half], [value.name], name=f"{value.name}.Cast", to=_SINGLE)
        )


def _rename(names: MutableSequence[str], old: str, new: str) -> None:
    names[:] = [new if name == old else name for name in names]


def _check(model: ModelProto) -> None:
    """Every tensor between the two casts is a half or no floating point at all."""
    types = _types(model)
    outputs = {value.name for value in model.graph.output}
    for node in model.graph.node:
        for name in node.output:
            wide = types.get(name) in _WIDE and name not in outputs
            if wide and not node.name.startswith(PREFIX):
                raise _refused(node, f"({node.op_type}) cannot give float16")
    onnx.checker.check_model(model, full_check=True)
