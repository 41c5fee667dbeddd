"""What every vendor wants of a Q/DQ graph, one function a rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from edgeresnet.core.contract import onnx_package
from edgeresnet.core.tensors import Array
from edgeresnet.core.wiring import (
    DEQUANTIZE,
    MOVES,
    QUANTIZE,
    STANDARD,
    Layer,
    Step,
    Wiring,
    name_of,
)

if TYPE_CHECKING:
    from onnx import NodeProto

Severity: TypeAlias = Literal["error", "warning"]
OLDEST_OPSET, NEWEST_OPSET = 13, 23
"""Per-channel scales came with 13; 23 is the newest that was tried with every vendor."""
_INTEGER_OPERATORS = {
    *("QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger"),
    *("DynamicQuantizeLinear", "MatMulIntegerToFloat", "QGemm", "QAttention"),
}
_SAME_PAIR = "write one scale and one zero point, and let both nodes of the pair read them"
_FIRST_AXIS = "one scale an output channel, 1-D, zero points 0, int8, with its axis spelled out"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or slow, in one place."""

    rule: str
    severity: Severity
    node: str
    """The node or initializer; empty where it is the whole graph."""
    what: str
    fix: str

    def __str__(self) -> str:
        at = f"{self.node}: " if self.node else ""
        return f"{at}{self.what} [{self.rule}]"


Rule: TypeAlias = Callable[[Wiring], Iterator[Finding]]
error = partial(Finding, severity="error")
warning = partial(Finding, severity="warning")


def external_data(graph: Wiring) -> Iterator[Finding]:
    """A graph travels alone, and its digest must cover its weights."""
    onnx = onnx_package()
    outside = [
        t.name for t in graph.constants.values() if onnx.external_data_helper.uses_external_data(t)
    ]
    if outside:
        what = f"its values, and those of {len(outside) - 1} more, lie in another file"
        yield error("external-data", node=outside[0], what=what, fix="onnx.save writes one file")


def opset(graph: Wiring) -> Iterator[Finding]:
    """The version of ONNX's own operators."""
    found = [o.version for o in graph.model.opset_import if o.domain in STANDARD]
    if not all(OLDEST_OPSET <= version <= NEWEST_OPSET for version in found):
        what = f"opset {found[0]}, {OLDEST_OPSET} to {NEWEST_OPSET} can be read with Q/DQ"
        yield error("opset", node="", what=what, fix="export with opset 17")


def operator_form(graph: Wiring) -> Iterator[Finding]:
    """INT8 is written as Q/DQ around float operators: that form every vendor reads."""
    fix = "quantize with edgeresnet, or with quant_format=QDQ, and leave the graph unoptimized"
    for node in graph.model.graph.node:
        if _computes_integers(node):
            what = f"{node.op_type}: the graph is in an operator form, not Q/DQ"
            yield error("operator-form", node=name_of(node), what=what, fix=fix)


def foreign_domain(graph: Wiring) -> Iterator[Finding]:
    """Operators that ONNX does not define are known to one runtime."""
    for node in graph.model.graph.node:
        if node.domain not in STANDARD and not _computes_integers(node):
            what = f"{node.op_type} is an operator of {node.domain}: other runtimes refuse it"
            fix = "export without optimization for one runtime"
            yield error("foreign-domain", node=name_of(node), what=what, fix=fix)


def _computes_integers(node: NodeProto) -> bool:
    foreign = node.domain not in STANDARD and any(n in node.op_type for n in ("QLinear", "Quant"))
    return foreign or node.op_type in _INTEGER_OPERATORS


def integers_read_as_such(graph: Wiring) -> Iterator[Finding]:
    """Between a Quantize and its Dequantize there is nothing."""
    for tensor, step in graph.steps.items():
        others = [n for n in graph.readers.get(tensor, ()) if n.op_type != DEQUANTIZE]
        if step.node.op_type == QUANTIZE and others:
            what = f"{name_of(others[0])} ({others[0].op_type}) reads its integers: operator form"
            fix = "put a DequantizeLinear between them"
            yield error("operator-form", node=step.name, what=what, fix=fix)


def antialias(graph: Wiring) -> Iterator[Finding]:
    """TensorRT has no antialiased Resize."""
    for node in graph.model.graph.node:
        if node.op_type == "Resize" and any(a.name == "antialias" and a.i for a in node.attribute):
            what = "Resize with antialias=1, which TensorRT refuses"
            fix = "resize outside the graph, as edgeresnet does, or set antialias=0"
            yield error("antialias", node=name_of(node), what=what, fix=fix)


def no_regions(graph: Wiring) -> Iterator[Finding]:
    """What lies between the two stages of Faster R-CNN is not for TensorRT.

    TensorRT-RTX has no kernel for suppression, and NVIDIA's parser leaves RoiAlign to a plugin.
    """
    fix = (
        "Faster R-CNN runs on OpenVINO and ONNX Runtime (--target intel-cpu, generic-cpu); "
        "RetinaNet and FCOS run on TensorRT, too"
    )
    for node in graph.model.graph.node:
        if node.op_type in ("NonMaxSuppression", "RoiAlign"):
            what = f"{node.op_type}, of which no engine is built for TensorRT"
            yield error("regions", node=name_of(node), what=what, fix=fix)


def unread_steps(graph: Wiring) -> Iterator[Finding]:
    """A pair that leads nowhere is a pair that somebody believes in."""
    for tensor, step in graph.steps.items():
        if tensor not in graph.readers and tensor not in graph.outputs:
            what = f"nobody reads {tensor}"
            yield error("unread-pair", node=step.name, what=what, fix="remove the node")


def leftovers(graph: Wiring, severity: Severity) -> Iterator[Finding]:
    """Initializers nobody reads: scales of pairs that were removed, float weights."""
    for tensor in graph.model.graph.initializer:
        if tensor.name not in graph.readers and tensor.name not in graph.outputs:
            what, fix = "an initializer that nobody reads", "remove it from the graph"
            yield Finding("leftover", severity, tensor.name, what, fix)


def quantized_at_all(graph: Wiring) -> Iterator[Finding]:
    """A float graph may be compiled for any target; it is worth saying."""
    if not graph.steps:
        what = "no QuantizeLinear or DequantizeLinear: all of it runs in float"
        yield warning("not-quantized", node="", what=what, fix="edgeresnet quantize")


def float_only(graph: Wiring) -> Iterator[Finding]:
    """A graph that says it is float has nothing to round."""
    for step in graph.steps.values():
        what = f"{step.node.op_type} in a graph that says it is float"
        fix = "quantize the graph that convert wrote, which notes the scheme"
        yield error("float", node=step.name, what=what, fix=fix)


def explicit(graph: Wiring) -> Iterator[Finding]:
    """Zero point and axis are written out: their defaults differ between readers."""
    for step in graph.steps.values():
        if not step.has_zero_point:
            what, fix = "has no zero point input", "add one: 0, of the type of the integers"
            yield error("implicit-zero-point", node=step.name, what=what, fix=fix)
        if step.axis is None and step.scale is not None and step.scale.size > 1:
            what = f"has {step.scale.size} scales and does not say on which axis"
            yield error("implicit-axis", node=step.name, what=what, fix="write axis=0")


def pairs_match(graph: Wiring) -> Iterator[Finding]:
    """What one node of a pair rounds, the other brings back."""
    for step in graph.steps.values():
        other = graph.partner(step)
        if other is None:
            continue
        unequal = [
            what
            for what, a, b in (
                ("scales", step.scale, other.scale),
                ("zero points", step.zero_point, other.zero_point),
                ("types", np.array(step.kind or other.kind), np.array(other.kind or step.kind)),
            )
            if a is not None and b is not None and not np.array_equal(a, b)
        ]
        if unequal:
            what = f"its {' and '.join(unequal)} differ from those of {other.name}"
            yield error("pair-mismatch", node=step.name, what=what, fix=_SAME_PAIR)


def weights(graph: Wiring) -> Iterator[Finding]:
    """INT8, symmetric, per output channel."""
    for layer in graph.layers:
        step = layer.weight
        if step is None:
            continue
        at = partial(error, node=step.name, fix=f"weights of {layer.name}: {_FIRST_AXIS}")
        if step.kind not in ("int8", ""):
            yield at("weight-type", what=f"the weights are {step.kind}, not int8")
        if step.zero_point is not None and step.zero_point.astype(np.float64).any():
            yield at("weight-zero-point", what="the weights have zero points other than 0")
        if graph.producer[layer.node.input[1]] is step.node and step.scale is not None:
            yield from _weight_axis(graph, layer, step, step.scale, at)


def _weight_axis(
    graph: Wiring, layer: Layer, step: Step, scale: Array, at: Callable[..., Finding]
) -> Iterator[Finding]:
    axis = layer.output_axis
    source = graph.partner(step) or step
    channels = source.shape[axis] if source.shape and len(source.shape) > axis else None
    if scale.size == 1 and channels != 1:
        what = "one scale for all output channels: less accurate than one each"
        yield warning("per-tensor-weight", node=step.name, what=what, fix="quantize per channel")
    elif scale.size > 1 and step.axis is not None:
        named = step.axis % len(source.shape) if source.shape else step.axis
        if scale.ndim > 1 or named != axis:
            yield at("weight-axis", what=f"scales on axis {step.axis}, output channels on {axis}")
        elif channels not in (None, scale.size):
            yield at("weight-axis", what=f"{scale.size} scales, {channels} output channels")


def activations(graph: Wiring) -> Iterator[Finding]:
    """One scale each: a scale a channel cannot leave the sum of a convolution."""
    for step in graph.quantizers():
        if step.node.input[0] in graph.depth and step.scale is not None and step.scale.size > 1:
            what = f"an activation with {step.scale.size} scales"
            yield error("activation-axis", node=step.name, what=what, fix="one scale a tensor")


def half_quantized(graph: Wiring) -> Iterator[Finding]:
    """A layer computes in integers when both its inputs are: else silently in float."""
    fix = "give the other input its pair too, or take both away"
    for layer in graph.layers:
        if layer.activation is None and layer.weight is not None:
            what = "INT8 weights, float activation: it silently runs in float"
            yield error("half-quantized", node=layer.name, what=what, fix=fix)
        elif layer.activation is not None and layer.weight is None:
            first = graph.partner(layer.activation) or layer.activation
            before = graph.before(first.node.input[0])
            own = graph.producer.get(layer.node.input[0])
            pooled = (before is not None and before.op_type in MOVES) or (
                own is not None and own.op_type == "MaxPool"
            )
            what = "INT8 activation, float weights: it silently runs in float"
            kind = warning if pooled else error  # the pair is there for the pooling's sake
            yield kind("half-quantized", node=layer.name, what=what, fix=fix)
