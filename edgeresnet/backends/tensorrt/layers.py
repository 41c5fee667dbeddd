"""What the engine inspector tells of each layer, in the forms of TensorRT 8.6, 10 and 11."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from edgeresnet.core.layers import INT8, EngineLayer, is_product

_IDLE = {"noop", "constant", "signal", "wait"}
"""Types of layers that compute nothing."""
_PROFILE = re.compile(r"\[profile \d+\]")
_METADATA = re.compile(r"\[ONNX Layer: ([^\]]*)\]")
_COPY = re.compile(r"Reformatting CopyNode")
_FOREIGN = re.compile(r"^\{?ForeignNode\[(.*?)\]?\}?$")
_CONSTANT = re.compile(r"\.(weight|bias|quantized|scale|zero_point|corrected)$")
_KINDS = (
    (re.compile(r"conv|correlation"), "convolution"),
    (re.compile(r"gemm|mat_?(rix)?_?mul|fully_?connected|\bfc\b"), "matmul"),
    (re.compile(r"pool"), "pooling"),
    (re.compile(r"reformat"), "reformat"),
    (re.compile(r"pointwise|elementwise|activation|^scale$|unary"), "elementwise"),
)
_PRODUCTS = ("convolution", "matmul")
_OPAQUE = ("myelin", "foreignnode")
"""Layers that hold a part of the network and tell nothing of what is inside."""
_MOVES = {"Move", "Tran", "Resh", "Cast", "Quan", "Dequ", "Repl", "fused"}
"""Operations, by their first four letters, that only move or convert values."""
_TACTICS = (
    (re.compile(r"i8(i8|u8|f16|f32)?_i8i32|imma|int8|idp4a|i8816|i16832|(^|_)s8(_|s8|$)"), INT8),
    (re.compile(r"e[45]m[32]|fp?8(f|_|$)|fp4"), ""),
    (re.compile(r"bf16"), "bfloat16"),
    (re.compile(r"f16f16|fp16|hmma|h884|h1688|h16816|hcudnn|hgemm|f16_s"), "float16"),
    (re.compile(r"f32f32|fp32|scudnn|sgemm|tf32"), "float32"),
)
"""What tactics are called by what they multiply, INT8 first: those of INT8 also name the float
type of their epilogue."""
_TYPES = (
    (re.compile(r"\bint8\b"), INT8),
    (re.compile(r"\b(bf16|bfloat16|bfloat)\b"), "bfloat16"),
    (re.compile(r"\b(fp16|half|float16)\b"), "float16"),
    (re.compile(r"\b(fp32|float|float32)\b"), "float32"),
)
_WIDEST = ("float32", "bfloat16", "float16", INT8)


def layers_of(information: str) -> tuple[EngineLayer, ...]:
    """The layers of the first optimization profile, in the order in which they run.

    ``information`` is what ``get_engine_information`` gives as JSON. Of an engine that was built
    without detailed profiling verbosity only names are known; of text that is no such JSON,
    nothing. A precision that the inspector does not tell for certain is left empty.
    """
    try:
        told = json.loads(information, strict=False)
    except ValueError:
        return ()
    listed = told.get("Layers") if isinstance(told, dict) else None
    raw = [{"Name": one} if isinstance(one, str) else one for one in _items(listed)]
    named = [one for one in raw if isinstance(one, dict)]
    first = [one for one in named if not _PROFILE.search(_text(one, "Name"))]
    return tuple(_layer(one) for one in first if _text(one, "LayerType").lower() not in _IDLE)


def _layer(raw: Mapping[str, Any]) -> EngineLayer:
    nodes = _nodes(raw)
    kind = _kind(raw, nodes)
    multiplies = kind in _PRODUCTS
    precision = _multiplied_in(raw) if multiplies else _handled_in(raw)
    return EngineLayer(_text(raw, "Name"), kind, precision, nodes, multiplies)


def _nodes(raw: Mapping[str, Any]) -> tuple[str, ...]:
    """From the metadata; where there is none, from the name, which joins those of the nodes."""
    name = _text(raw, "Name")
    listed = _METADATA.findall(_text(raw, "Metadata"))
    if not listed and not _COPY.match(name) and not name.startswith("__my"):
        foreign = _FOREIGN.match(name)
        inside = foreign.group(1) if foreign else name
        parts = re.split(r" ?\.\.\. ?|\.{3}|[\x1e\x1f]| (?:\+|\|\|) |, ", inside)
        listed = [re.sub(r"^(?:PWN\()+|\)+$", "", part).strip() for part in parts]
        listed = [part for part in listed if part and not _CONSTANT.search(part)]
    return tuple(dict.fromkeys(listed))


def _kind(raw: Mapping[str, Any], nodes: Sequence[str]) -> str:
    kind, name = _text(raw, "LayerType").lower(), _text(raw, "Name")
    if kind in _OPAQUE or not kind:
        held = [node for node in nodes if is_product(node, nodes)]
        convolves = any(re.search(r"conv|downsample", node, re.IGNORECASE) for node in held)
        alone = "reformat" if _COPY.match(name) else "other"
        return "convolution" if convolves else "matmul" if held else alone
    if kind in ("kgen", "fusion"):
        return _generated(name, _text(raw, "TacticName"))
    parameters = _text(raw, "ParameterType").lower()
    return _first(_KINDS, kind) or _first(_KINDS, parameters) or "other"


def _generated(name: str, tactic: str) -> str:
    """Kind of a kernel that TensorRT wrote itself; its name lists the operations."""
    listed = re.match(r"_*myl_([A-Za-z_]+?)(_myl\d.*|_\d.*|_0x.*)?$", name)
    operations = re.findall(r"[A-Z][a-z]*|fused", listed.group(1)) if listed else []
    words = {operation[:4] for operation in operations}
    plain = " ".join([*operations, "" if listed else name, tactic.partition("0x")[0]])
    if {"Conv", "Convolution", "Correlation"} & {*operations} or "_fprop_" in tactic:
        return "convolution"
    if words & {"Fc", "Gemm", "Mat"} or re.search(r"gemm|mha", plain):
        return "matmul"
    if any(word.startswith("Pool") or word.endswith("Pool") for word in operations):
        return "pooling"
    return "reformat" if words and words <= _MOVES else "elementwise"


def _multiplied_in(raw: Mapping[str, Any]) -> str:
    """Type of the products: both factors', as the tactic, the weights and the inputs agree on."""
    if _text(raw, "LayerType").lower() in _OPAQUE:
        return _first(_TACTICS, _text(raw, "TacticName").lower())
    tactic = _first(_TACTICS, _text(raw, "TacticName").lower())
    weights = _weights(raw)
    inputs = _types(raw, "Inputs")
    activation = inputs[0] if inputs else ""
    if weights == INT8 and activation not in (INT8, ""):
        weights = activation  # weights kept small, and widened before they are multiplied
    votes = {vote for vote in (tactic, weights) if vote}
    if not votes and len(set(inputs)) == 1:
        votes = set(inputs)
    if not votes and activation == INT8:
        votes = {INT8}
    return votes.pop() if len(votes) == 1 else ""


def _handled_in(raw: Mapping[str, Any]) -> str:
    """INT8 where all that goes in and out is; else the widest float type of them."""
    types = {*_types(raw, "Inputs"), *_types(raw, "Outputs")}
    return next((precision for precision in _WIDEST if precision in types), "")


def _weights(raw: Mapping[str, Any]) -> str:
    for key in ("Weights", "ConvWeights"):
        told = raw.get(key)
        if isinstance(told, dict):
            return _first(_TYPES, _text(told, "Type").lower())
    return ""


def _types(raw: Mapping[str, Any], key: str) -> list[str]:
    """Precision of each tensor that has one, in order; others (bool, uint8, int32) are skipped."""
    told = []
    for tensor in _items(raw.get(key)):
        if isinstance(tensor, dict):
            by_key = {name.lower(): value for name, value in tensor.items()}
            keys = [name for name in ("datatype", "format/datatype", "format") if name in by_key]
            told += [_first(_TYPES, _text(by_key, name).lower()) for name in keys[:1]]
    return [found for found in told if found]


def _first(patterns: Iterable[tuple[re.Pattern[str], str]], text: str) -> str:
    return next((found for pattern, found in patterns if pattern.search(text)), "")


def _text(raw: Mapping[str, Any], key: str) -> str:
    told = raw.get(key)
    return told if isinstance(told, str) else ""


def _items(value: Any) -> Sequence[Any]:
    return value if isinstance(value, (list, tuple)) else ()
