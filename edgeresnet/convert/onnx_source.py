"""An ONNX file that another tool exported, as a body for the contract graph."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeresnet.convert.fold import inline_constants
from edgeresnet.core.contract import OPSET, load_onnx, onnx_package, read_metadata
from edgeresnet.core.errors import ModelError

if TYPE_CHECKING:
    import onnx


_IR_VERSION = 8
"""What came with opset 17; runtimes of those years refuse a later one."""


_QUANTIZED = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantize", "QLinear")


def read_body(path: Path, batch: int) -> tuple[onnx.ModelProto, tuple[int, int] | None]:
    """The network in an ONNX file, opset 17, static ``batch``; and its fixed height and width.

    One float32 input, N x 3 x height x width, and one output, N x classes, are needed. A Softmax
    at the end is taken off, so that the output is logits.
    """
    onnx = onnx_package()
    model = load_onnx(path)
    if read_metadata(model):
        raise ModelError(
            f"{path} is already a contract graph", hint="quantize or compile it as it is"
        )
    opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 0)
    if opset != OPSET:
        try:
            model = onnx.version_converter.convert_version(model, OPSET)
        except Exception as error:  # the converter raises bare RuntimeErrors
            raise ModelError(
                f"{path}: opset {opset} cannot be brought to {OPSET}: {str(error)[:120]}",
                hint=f"export it again with opset_version={OPSET}",
            ) from error
    model.ir_version = _IR_VERSION
    graph = model.graph
    _refuse_integers(graph, path)
    weights = {w.name for w in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    del graph.input[:]
    graph.input.extend(inputs)
    shape = _input_shape(inputs, path)
    if len(graph.output) != 1:
        names = ", ".join(value.name for value in graph.output)
        raise ModelError(f"{path} has {len(graph.output)} outputs ({names}), one is needed")
    inline_constants(graph)
    _drop_softmax(graph)
    _make_static(model, batch)
    _name_nodes(graph)
    del graph.value_info[:]
    size = (shape[2], shape[3]) if shape[2] and shape[3] else None
    return model, size


def _refuse_integers(graph: Any, path: Path) -> None:
    for node in graph.node:
        if node.op_type.startswith(_QUANTIZED) or node.op_type.endswith("Integer"):
            raise ModelError(
                f"{path} is quantized already ({node.op_type})",
                hint="convert the float network that it was made from",
            )


def _input_shape(inputs: list[Any], path: Path) -> list[int]:
    onnx = onnx_package()
    described = ", ".join(value.name for value in inputs) or "none"
    if len(inputs) != 1:
        raise ModelError(f"{path} has {len(inputs)} inputs ({described}), one is needed")
    tensor = inputs[0].type.tensor_type
    shape = [d.dim_value for d in tensor.shape.dim]
    if tensor.elem_type != onnx.TensorProto.FLOAT or len(shape) != 4 or shape[1] != 3:
        raise ModelError(
            f"{path}: the input {described} is {shape}, float32 [N, 3, height, width] is needed",
            hint="export the network without its preprocessing, in NCHW layout",
        )
    return shape


def _drop_softmax(graph: Any) -> None:
    output = graph.output[0].name
    last = next((node for node in graph.node if output in node.output), None)
    if last is not None and last.op_type == "Softmax":
        graph.node.remove(last)
        graph.output[0].name = last.input[0]


def _make_static(model: Any, batch: int) -> None:
    for value in (*model.graph.input, *model.graph.output):
        dim = value.type.tensor_type.shape.dim
        if dim:
            dim[0].ClearField("dim_param")
            dim[0].dim_value = batch


def _name_nodes(graph: Any) -> None:
    taken: set[str] = set()
    for i, node in enumerate(graph.node):
        if not node.name or node.name in taken:
            node.name = f"{node.op_type}_{i}"
        taken.add(node.name)
