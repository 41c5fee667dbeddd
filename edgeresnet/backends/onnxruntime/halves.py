"""What a float16 graph computes, for a runtime that does not compute in float16."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgeresnet.core.contract import copy_of

if TYPE_CHECKING:
    from onnx import ModelProto

_SINGLE, _HALF = TensorProto.FLOAT, TensorProto.FLOAT16
_EXACT = {"Cast", "Flatten", "Identity", "MaxPool", "QuantizeLinear", "Relu", "Reshape"}
"""Operators that give halves, or none, when they are given halves."""


def in_single(model: ModelProto) -> ModelProto:
    """A graph in float16 as float32, what each node gives rounded to half precision and back.

    ONNX Runtime on a CPU cannot be asked instead. It keeps sums in float32 across nodes, so that
    what a GPU takes for infinite stays finite, and its float16 QuantizeLinear (that of 1.31.1 for
    one) cuts off where ONNX says to round, which makes a relative error of 0.25.
    """
    result = copy_of(model)
    graph = result.graph
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    halves = {v.name for v in inferred.value_info if v.type.tensor_type.elem_type == _HALF}
    for tensor in graph.initializer:
        if tensor.data_type == _HALF:
            value = numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
    nodes = []
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.t.data_type == _HALF:
                value = numpy_helper.to_array(attribute.t).astype(np.float32)
                attribute.t.CopyFrom(numpy_helper.from_array(value))
        rounds = node.op_type not in _EXACT
        casts = any(a.name == "to" and a.i == _HALF for a in node.attribute)
        rounded = [name for name in node.output if name in halves and (rounds or casts)]
        node.output[:] = [f"{name}.exact" if name in rounded else name for name in node.output]
        nodes.append(node)
        for name in rounded:
            half = exact = f"{name}.exact"
            if not casts:
                half = f"{name}.half"
                nodes.append(helper.make_node("Cast", [exact], [half], to=_HALF))
            nodes.append(helper.make_node("Cast", [half], [name], to=_SINGLE))
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.value_info[:]
    return result
