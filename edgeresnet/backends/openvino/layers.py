"""What OpenVINO's runtime model tells of each layer."""

from __future__ import annotations

import re
from typing import Any

from edgeresnet.core.layers import INT8, EngineLayer

_IDLE = {"Const", "Input", "Output", "Reshape"}
"""Types of layers that compute nothing."""
_KINDS = {
    "Convolution": "convolution",
    "Deconvolution": "convolution",
    "FullyConnected": "matmul",
    "MatMul": "matmul",
    "Pooling": "pooling",
    "AdaptivePooling": "pooling",
    "Reduce": "pooling",
    "Eltwise": "elementwise",
    "FakeQuantize": "elementwise",
    "Math": "elementwise",
    "Subgraph": "elementwise",
    "Reorder": "reformat",
    "Convert": "reformat",
}
_PRODUCTS = ("convolution", "matmul")
_PRECISIONS = {"i8": INT8, "u8": INT8, "f16": "float16", "bf16": "bfloat16", "f32": "float32"}
_WIDEST = ("float32", "bfloat16", "float16", INT8)
_SPLIT = re.compile(r"/(WithoutBiases|Dequantization\w*|sink_port_\d+|fq_\w+)")
"""What OpenVINO adds to a node's name where it takes the node apart."""
_OWN = re.compile(r"^(Multiply|Divide|Subtract|Convert|Constant|Power|Broadcast)_\d+(_original)?$")
"""Names of nodes that OpenVINO made; none of these is an operator of ONNX with that name."""


def layers_of(compiled: Any) -> tuple[EngineLayer, ...]:
    """The layers of a compiled model, in the order in which they run.

    Nothing for a device that keeps no runtime model. What is computed once, from constants alone,
    is no layer.
    """
    try:
        operations = compiled.get_runtime_model().get_ordered_ops()
    except RuntimeError:
        return ()
    told: list[tuple[int, EngineLayer]] = []
    constant: set[str] = set()
    for operation in operations:
        name, facts = operation.get_friendly_name(), _facts(operation)
        kind = facts.get("layerType", "")
        sources = [value.get_node().get_friendly_name() for value in operation.input_values()]
        if kind == "Const" or (sources and constant.issuperset(sources)):
            constant.add(name)
        elif kind not in _IDLE:
            told.append((int(facts.get("execOrder", "0")), _layer(name, facts)))
    return tuple(layer for _, layer in sorted(told, key=lambda one: one[0]))


def _facts(operation: Any) -> dict[str, str]:
    return {key: str(value.astype(str)) for key, value in operation.get_rt_info().items()}


def _layer(name: str, facts: dict[str, str]) -> EngineLayer:
    kind = _KINDS.get(facts.get("layerType", ""), "other")
    multiplies = kind in _PRODUCTS
    precision = _multiplied_in(facts) if multiplies else _handled_in(facts)
    listed = facts.get("originalLayersNames", "").split(",")
    nodes = [_SPLIT.sub("", node) for node in listed if node and not _OWN.match(node)]
    return EngineLayer(name, kind, precision, tuple(dict.fromkeys(nodes)), multiplies)


def _multiplied_in(facts: dict[str, str]) -> str:
    """By the kernel that was chosen, whose name ends in the type; else by the first input.

    Small weights alone do not make a product INT8: the kernel is then one of float.
    """
    kernel = facts.get("primitiveType", "").rpartition("_")[2].lower()
    found = _PRECISIONS.get(kernel) or _PRECISIONS.get(facts.get("runtimePrecision", ""))
    return found or ""


def _handled_in(facts: dict[str, str]) -> str:
    """INT8 where all that goes in and out is; else the widest float type of them."""
    told = f"{facts.get('runtimePrecision', '')},{facts.get('outputPrecisions', '')}".split(",")
    types = {_PRECISIONS[name] for name in told if name in _PRECISIONS}
    return next((precision for precision in _WIDEST if precision in types), "")
