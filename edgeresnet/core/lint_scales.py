"""What every vendor wants of the scales of a Q/DQ graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np

from edgeresnet.core.contract import onnx_package
from edgeresnet.core.lint_rules import Finding, error
from edgeresnet.core.tensors import Array
from edgeresnet.core.wiring import QUANTIZE, STANDARD, Wiring, type_of

_HALF_OPSET = 19
"""Before it, QuantizeLinear and DequantizeLinear have no float16."""
_LEVELS = 128


def scales(graph: Wiring, types: tuple[str, ...] = ("float32",)) -> Iterator[Finding]:
    """Constant, of one of ``types`` and that of the tensors, above zero, finite and normal."""
    usual = Counter(s.scale.dtype.name for s in graph.steps.values() if s.scale is not None)
    tensors = _types(graph) if len(types) > 1 else {}
    for step in graph.steps.values():
        if step.scale is None or (step.has_zero_point and step.zero_point is None):
            what, fix = "its scale or zero point is computed by the graph", "fold constants"
            yield error("not-constant", node=step.name, what=what, fix=fix)
            continue
        kind = step.scale.dtype.name
        quantizes = step.node.op_type == QUANTIZE
        tensor = tensors.get(step.node.input[0], kind) if quantizes else kind
        at = partial(error, "scale-type", node=step.name, fix=f"write scales in {types[0]}")
        if kind not in types or kind != usual.most_common(1)[0][0]:
            yield at(what=f"its scale is {kind}: mixed types fail to build on some GPUs")
        elif tensor != kind:
            what = f"its scale is {kind}, its tensor {tensor}: fails to build on some GPUs"
            yield at(what=what, fix=f"write scales in {tensor}")
        elif kind == "float16" and _opset(graph) < _HALF_OPSET:
            yield at(what=f"its scale is float16, which came with opset {_HALF_OPSET}")
        bad = ~_usable(step.scale, divides=quantizes or graph.partner(step) is not None)
        if bad.any():
            what = (
                f"{bad.sum()} of its {step.scale.size} scales not finite, not above 0 or denormal"
            )
            fix = "calibrate with pictures that reach the layer; a channel of zeros takes any scale"
            yield error("scale-value", node=step.name, what=what, fix=fix)


def _usable(scale: Array, *, divides: bool) -> Array:
    """Which scales bring integers back as they were meant.

    A subnormal half is exact enough for a channel of small weights, whose integers were found for
    it; but its reciprocal, which kernels multiply activations by, is infinite.
    """
    if scale.dtype.kind != "f":
        return np.ones(scale.shape, np.bool_)
    limits = np.finfo(scale.dtype)
    subnormal = scale.dtype == np.float16 and not divides
    least = limits.smallest_subnormal if subnormal else limits.tiny
    wide = scale.astype(np.float64)
    return np.asarray((wide >= least) & (wide * _LEVELS <= limits.max))


def _opset(graph: Wiring) -> int:
    return max(
        (int(o.version) for o in graph.model.opset_import if o.domain in STANDARD), default=0
    )


def _types(graph: Wiring) -> Mapping[str, str]:
    """The type of each tensor that ONNX can tell, if not all of the graph is float32."""
    if all(type_of(tensor) != "float16" for tensor in graph.constants.values()):
        return {}
    onnx = onnx_package()
    try:
        inferred = onnx.shape_inference.infer_shapes(graph.model).graph
    except onnx.shape_inference.InferenceError:  # full checks name it; here types are unknown
        return {}
    return {
        value.name: onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).name
        for value in (*inferred.input, *inferred.value_info, *inferred.output)
        if value.type.tensor_type.elem_type
    }
