"""What ONNX says of the types in a graph, and a graph made ready for others."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgeresnet.core.errors import ModelError
from edgeresnet.core.wiring import STANDARD

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

HINT = 'precision = "float32" in the options of the target computes it'
_HALF_SCALES_IR = 9


def refused(node: NodeProto, what: str) -> ModelError:
    """The error that names ``node``."""
    return ModelError(f"{node.name} {what}", hint=HINT)


def copy_of_tensor(tensor: TensorProto, name: str) -> TensorProto:
    """The same values under another name."""
    copied = TensorProto()
    copied.CopyFrom(tensor)
    copied.name = name
    return copied


@lru_cache
def takes_half(op_type: str, place: int, opset: int) -> bool:
    """Whether an operator takes float16 in a place."""
    inputs = onnx.defs.get_schema(op_type, opset).inputs
    return "tensor(float16)" in inputs[min(place, len(inputs) - 1)].types


def opset_of(model: ModelProto) -> int:
    """The version of ONNX's own operators."""
    return next(int(o.version) for o in model.opset_import if o.domain in STANDARD)


def refuse_strangers(model: ModelProto) -> None:
    """ModelError for an operator that ONNX does not define, or that holds a graph."""
    for node in model.graph.node:
        if node.domain not in STANDARD or not onnx.defs.has(node.op_type):
            raise refused(node, f"is {node.op_type}, which ONNX does not define")
        if any(a.type in (a.GRAPH, a.GRAPHS) for a in node.attribute):
            raise refused(node, "holds a graph of its own")


def brought_to(opset: int, model: ModelProto) -> ModelProto:
    """A copy in another version of ONNX's operators."""
    try:
        found: ModelProto = onnx.version_converter.convert_version(model, opset)
    except Exception as error:  # the converter raises bare RuntimeErrors
        raise ModelError(
            f"cannot be brought to opset {opset}: {str(error).strip()[:160]}", hint=HINT
        ) from error
    found.ir_version = max(found.ir_version, _HALF_SCALES_IR)
    return found


def inline_constants(graph: GraphProto) -> None:
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


def types_of(model: ModelProto) -> dict[str, int]:
    """The element type of each tensor."""
    try:
        inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
    except onnx.shape_inference.InferenceError as error:
        raise ModelError(f"its types do not fit: {str(error).strip()[:200]}", hint=HINT) from error
    graph = inferred.graph
    types = {w.name: w.data_type for w in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        types[value.name] = value.type.tensor_type.elem_type
    return types
