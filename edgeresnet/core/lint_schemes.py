"""What one scheme's vendors want beyond the common rules, and which rules apply when."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np

from edgeresnet.core import lint_rules as rules
from edgeresnet.core.lint_rules import Finding, Rule, Severity, error, warning
from edgeresnet.core.lint_scales import scales
from edgeresnet.core.target import Scheme
from edgeresnet.core.tensors import Array
from edgeresnet.core.wiring import DEQUANTIZE, QUANTIZE, Wiring, name_of

_BIAS_TOLERANCE = 1e-6


def pair_before_relu(graph: Wiring, severity: Severity) -> Iterator[Finding]:
    """A ReLU joins its convolution, unless a pair stands between them."""
    for tensor, step in graph.steps.items():
        before = graph.producer.get(step.node.input[0])
        if step.node.op_type != QUANTIZE or before is None or before.op_type != "Conv":
            continue
        backs = [n.output[0] for n in graph.readers.get(tensor, ()) if n.op_type == DEQUANTIZE]
        after = {node.op_type for back in backs for node in graph.readers.get(back, ())}
        if after & {"Relu", "Clip"}:
            what = f"stands between {name_of(before)} and its ReLU, which cannot join"
            yield Finding("pair-before-relu", severity, step.name, what, "quantize after the ReLU")


def signed_and_symmetric(graph: Wiring) -> Iterator[Finding]:
    """TensorRT reads int8 with zero point 0, whatever the graph says."""
    layered = {id(step) for layer in graph.layers for step in (layer.weight, layer.bias)}
    fix = "quantize with --scheme s8-symmetric"
    for step in graph.quantizers():
        if id(step) in layered:
            continue
        if step.zero_point is not None and step.zero_point.astype(np.float64).any():
            what = f"zero point {step.zero_point.flat[0]}, which TensorRT refuses"
            yield error("zero-point", node=step.name, what=what, fix=fix)
        elif step.kind == "uint8":
            what = "uint8: TensorRT reads it as int8, so that it saturates at half its range"
            yield error("unsigned", node=step.name, what=what, fix=fix)
        elif step.kind not in ("int8", ""):
            yield error("unsigned", node=step.name, what=f"{step.kind}, not int8", fix=fix)


def no_integer_bias(graph: Wiring) -> Iterator[Finding]:
    """TensorRT adds biases in float."""
    for layer in graph.layers:
        if layer.bias is not None:
            refused = layer.bias.kind == "int32"
            what = "int32, which TensorRT refuses" if refused else "rounded, which costs a kernel"
            what, fix = f"the bias of {layer.name} is {what}", "leave biases in float"
            yield error("quantized-bias", node=layer.bias.name, what=what, fix=fix)


def residual_adds(graph: Wiring) -> Iterator[Finding]:
    """DQ, convolution, Add and ReLU become one kernel if the identity alone has a pair."""
    fix = "a pair on the identity or downsample branch, none after the main branch's convolution"
    for node in graph.model.graph.node if graph.steps else ():
        if node.op_type != "Add" or not all(name in graph.depth for name in node.input):
            continue
        sources = [graph.before(name) for name in node.input]
        fused = [source is not None and source.op_type == "Conv" for source in sources]
        if not any(fused):
            continue
        found = partial(Finding, "residual-add", node=name_of(node), fix=fix)
        pairs = [graph.dequantizer(name) is not None for name in node.input]
        depths = [graph.depth[name] for name in node.input]
        if all(pairs):
            yield found(severity="error", what="both inputs have a pair: it cannot be fused")
        elif not any(pairs):
            yield found(severity="warning", what="no input has a pair: it runs in float, unfused")
        elif fused[pairs.index(True)] and (
            not all(fused) or depths[pairs.index(True)] > depths[pairs.index(False)]
        ):
            yield found(severity="error", what="the pair is on the main branch: it cannot be fused")


def unsigned_activations(graph: Wiring) -> Iterator[Finding]:
    """x86 multiplies unsigned by signed bytes."""
    for step in graph.quantizers():
        if step.node.input[0] not in graph.depth or step.kind in ("uint8", ""):
            continue
        if step.kind == "int8":
            what, fix = "int8 activation: slower on x86", "quantize with --scheme u8-affine"
            yield warning("signed-activation", node=step.name, what=what, fix=fix)
        else:
            what, fix = f"{step.kind} activation, not uint8", "quantize with --scheme u8-affine"
            yield error("activation-type", node=step.name, what=what, fix=fix)


def bias_units(graph: Wiring) -> Iterator[Finding]:
    """An integer bias is added to the products, so that it has their scale."""
    fix = "int32, zero point 0, scale = input scale x weight scale of each channel"
    for layer in graph.layers:
        bias, activation, weight = layer.bias, layer.activation, layer.weight
        if bias is None:
            continue
        at = partial(error, "bias-scale", node=bias.name, fix=fix)
        if bias.kind not in ("int32", ""):
            yield at(what=f"the bias of {layer.name} is {bias.kind}, not int32")
        elif bias.zero_point is not None and bias.zero_point.any():
            yield at(what=f"the bias of {layer.name} has zero points other than 0")
        elif (
            activation is not None
            and weight is not None
            and not _product(bias.scale, activation.scale, weight.scale)
        ):
            yield at(what=f"ONNX Runtime takes another scale for the bias of {layer.name}")


def _product(bias: Array | None, activation: Array | None, weight: Array | None) -> bool:
    if bias is None or activation is None or weight is None or activation.size != 1:
        return True  # other rules name it
    wanted = activation.astype(np.float64).reshape(()) * weight.astype(np.float64)
    if wanted.size > 1 and bias.shape != wanted.shape:
        return False
    return bool(np.allclose(bias, wanted, rtol=_BIAS_TOLERANCE, atol=0))


_QUANTIZED: tuple[Rule, ...] = (
    rules.external_data,
    rules.operator_form,
    rules.foreign_domain,
    rules.quantized_at_all,
    rules.opset,
    rules.integers_read_as_such,
    rules.antialias,
    rules.explicit,
    rules.pairs_match,
    rules.weights,
    rules.activations,
    rules.half_quantized,
    rules.unread_steps,
)
RULES: Mapping[Scheme, tuple[Rule, ...]] = {
    Scheme.FLOAT: (
        rules.external_data,
        rules.operator_form,
        rules.float_only,
        partial(rules.leftovers, severity="warning"),
    ),
    Scheme.U8_AFFINE: (
        *_QUANTIZED,
        scales,
        unsigned_activations,
        bias_units,
        partial(pair_before_relu, severity="warning"),
        partial(rules.leftovers, severity="warning"),
    ),
    Scheme.S8_SYMMETRIC: (
        *_QUANTIZED,
        partial(scales, types=("float32", "float16")),
        signed_and_symmetric,
        no_integer_bias,
        residual_adds,
        partial(pair_before_relu, severity="error"),
        partial(rules.leftovers, severity="error"),
    ),
}
"""What a graph in each scheme is held to."""
OF_BACKEND: Mapping[str, tuple[Rule, ...]] = {"tensorrt": (rules.no_regions,)}
"""What it is held to in any scheme where the backend is known."""
