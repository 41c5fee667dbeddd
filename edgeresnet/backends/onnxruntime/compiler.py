"""The part of compiling that needs the onnx package, so only the host imports it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import onnx
from onnx import numpy_helper

from edgeresnet.backends.onnxruntime.host import HostTable, float_table, quantized_table
from edgeresnet.core.artifacts import Graph
from edgeresnet.core.contract import NORMALISED, body_of, load_onnx

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto


def write_body(graph: Graph, out: Path) -> None:
    """Write the network without its normalisation; the host's table goes into the metadata."""
    body = body_of(load_onnx(graph.path))
    table = _take_quantize(body, float_table(graph.preprocess))
    del body.metadata_props[:]
    prop = body.metadata_props.add()
    prop.key, prop.value = "edgeresnet.host_table", table.to_text()
    onnx.checker.check_model(body)
    onnx.save(body, str(out))


def _take_quantize(body: ModelProto, table: HostTable) -> HostTable:
    """When the input's only reader is a QuantizeLinear, fold that into the table as well."""
    readers: list[NodeProto] = [n for n in body.graph.node if NORMALISED in n.input]
    if len(readers) != 1 or readers[0].op_type != "QuantizeLinear":
        return table
    (quantize,) = readers
    constants = {w.name: w for w in body.graph.initializer}
    scale = float(numpy_helper.to_array(constants[quantize.input[1]]))
    zero = numpy_helper.to_array(constants[quantize.input[2]])
    body.graph.node.remove(quantize)
    dims = [d.dim_value for d in body.graph.input[0].type.tensor_type.shape.dim]
    kind = onnx.helper.np_dtype_to_tensor_dtype(zero.dtype)
    del body.graph.input[:]
    value = onnx.helper.make_tensor_value_info(quantize.output[0], kind, dims)
    body.graph.input.append(value)
    return quantized_table(table, scale, int(zero), zero.dtype.name)
