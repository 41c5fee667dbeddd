"""A torch module to an ONNX body with names that a person recognises."""

from __future__ import annotations

import io
import logging
import re
import warnings
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from edgeresnet.core.contract import OPSET, onnx_package
from edgeresnet.core.errors import ModelError

if TYPE_CHECKING:
    import onnx


_AGAIN = re.compile(r"^decode_\d+$")
"""A detector's decoding that is called for its next step: it is the same to all who read names."""


def export_module(
    module: nn.Module, shape: tuple[int, int, int, int], outputs: tuple[str, ...] = ("y",)
) -> onnx.ModelProto:
    """Trace ``module`` on a float32 NCHW input of ``shape``; BatchNorms stay nodes.

    What is computed of constants and shapes alone is computed here when there are several
    ``outputs``, so that a detector's tail is left with no more than runtimes have to read.

    The tracing exporter is used on purpose: the newer one writes weights to a second file and has
    produced wrong ResNets (pytorch#166797, #169178).
    """
    onnx = onnx_package()
    buffer = io.BytesIO()
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                module.eval(),
                (torch.zeros(shape),),
                buffer,  # type: ignore[arg-type]  # a file object is written as well
                opset_version=OPSET,
                dynamo=False,
                training=torch.onnx.TrainingMode.PRESERVE,
                do_constant_folding=len(outputs) > 1,
                input_names=["x"],
                output_names=list(outputs),
            )
    except Exception as error:  # the exporter raises whatever the module's own code raises
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelError(
            f"the network cannot be exported for an input of {'x'.join(map(str, shape))}: "
            f"{reason[0][:200]}",
            hint="a traceable nn.Module of one NCHW input and one output is needed",
        ) from error
    model = onnx.load_from_string(buffer.getvalue())
    name_by_module(model)
    if len(outputs) > 1:
        _make_shapes_constant(model)
    return model  # type: ignore[no-any-return]


def _make_shapes_constant(model: onnx.ModelProto) -> None:
    """Put numbers in the place of each Shape of a tensor whose every side is known."""
    onnx = onnx_package()
    known = {
        value.name: [side.dim_value for side in value.type.tensor_type.shape.dim]
        for value in onnx.shape_inference.infer_shapes(model, data_prop=True).graph.value_info
    }
    for node in [n for n in model.graph.node if n.op_type == "Shape" and not n.attribute]:
        if (sides := known.get(node.input[0])) and min(sides) > 0:
            sizes = onnx.helper.make_tensor(
                node.output[0], onnx.TensorProto.INT64, [len(sides)], sides
            )
            model.graph.initializer.append(sizes)
            model.graph.node.remove(node)


def name_by_module(model: onnx.ModelProto) -> None:
    """Name nodes and their outputs after the modules they come from, in place.

    ``/layer1/layer1.0/conv1/Conv`` becomes ``layer1.0.conv1``; a second tensor of that name gets
    a number.
    """
    graph = model.graph
    outputs = {value.name for value in graph.output}
    taken: dict[str, int] = {}
    renamed: dict[str, str] = {}
    for node in graph.node:
        name = _module_path(node.name, node.op_type)
        taken[name] = taken.get(name, 0) + 1
        node.name = name if taken[name] == 1 else f"{name}_{taken[name]}"
        for i, output in enumerate(node.output):
            if output and output not in outputs:
                renamed[output] = node.name if i == 0 else f"{node.name}.{i}"
    for node in graph.node:
        for names in (node.input, node.output):
            for i, name in enumerate(names):
                names[i] = renamed.get(name, name)
    del graph.value_info[:]


def _module_path(name: str, op_type: str) -> str:
    path: list[str] = []
    for part in [_AGAIN.sub("decode", p) for p in name.split("/") if p][:-1]:
        inside = bool(path) and part.startswith(f"{path[-1]}.")
        path = [*path[:-1], part] if inside else [*path, part]
    leaf = name.rsplit("/", 1)[-1]
    joined = ".".join(path)
    if not joined:
        return leaf or op_type
    own = leaf.startswith(("Conv", "BatchNorm", "Relu", "MaxPool", "Gemm", "GlobalAverage"))
    return joined if own else f"{joined}.{leaf}"


def parameters(module: nn.Module) -> int:
    """Number of trainable values."""
    return sum(p.numel() for p in module.parameters())


def module_outputs(
    module: nn.Module, x: torch.Tensor, wanted: Collection[str] | None = None
) -> tuple[Any, dict[str, Any]]:
    """What ``module`` gives, and its leaf modules' outputs by name, of one forward pass.

    Only those of the names ``wanted`` are kept, or all, which is much of a large picture. A module
    that is called again, as a detector's head is for each level, has a number behind its name, as
    in the graph.
    """
    outputs: dict[str, Any] = {}
    calls: dict[str, int] = {}

    def keep(name: str) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            if isinstance(output, torch.Tensor):
                count = calls[name] = calls.get(name, -1) + 1
                key = f"{name}_{count}" if count else name
                if wanted is None or key in wanted:
                    outputs[key] = output.detach().clone().numpy()

        return hook

    handles = [
        child.register_forward_hook(keep(name))
        for name, child in module.named_modules()
        if name and not list(child.children())
    ]
    try:
        with torch.no_grad():
            given = module(x)
    finally:
        for handle in handles:
            handle.remove()
    return given, outputs
