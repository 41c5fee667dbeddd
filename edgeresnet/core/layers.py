"""What an engine is made of: its layers, the precision of each, and what fell back."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

KINDS = ("convolution", "matmul", "pooling", "elementwise", "reformat", "other")
PRECISIONS = ("int8", "float16", "bfloat16", "float32", "")
INT8 = "int8"
_ADD = re.compile(r"(^|[/.])add(_?\d+)?$", re.IGNORECASE)
_PRODUCT = re.compile(
    r"(^|[/.])((conv|gemm|matmul|linear|fc|classifier|head)[a-z]*_?\d*(_\d+)?|downsample\.\d)$",
    re.IGNORECASE,
)
_BRIDGE = re.compile(r"quantize(linear)?(_\d+)?$", re.IGNORECASE)
_WEIGHT = ".weight.Dequantize"
_NORMALISATION = "normalise."
"""Prefix of the nodes that make pictures into what the network takes."""
_SHOWN = 6
"""Names in one sentence; the table has them all."""
_LONGEST = 80


@dataclass(frozen=True)
class EngineLayer:
    """One step of a compiled model, usually several nodes of its graph fused."""

    name: str
    kind: str
    """One of :data:`KINDS`; of a fused layer, what costs most."""
    precision: str
    """One of :data:`PRECISIONS`: what it computes in; empty where the vendor does not tell. INT8
    is signed or unsigned.

    A reformat layer is ``int8`` where it only moves INT8 data into another layout, else the float
    type that it reads or writes.
    """
    nodes: tuple[str, ...]
    """Names of the graph's nodes that it computes, as far as the vendor tells."""
    multiplies: bool
    """Whether it holds a convolution or a matrix product."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no kind of layer: {self.kind!r}")
        if self.precision not in PRECISIONS:
            raise ValueError(f"no precision: {self.precision!r}")


def int8_share(layers: Sequence[EngineLayer]) -> float:
    """Share, by count, of the convolutions and matrix products that run in INT8.

    0 where there is none, and a layer whose precision is not told does not count as INT8.
    """
    products = [layer for layer in layers if layer.multiplies]
    return sum(layer.precision == INT8 for layer in products) / max(1, len(products))


def fallen(layers: Sequence[EngineLayer]) -> tuple[EngineLayer, ...]:
    """The convolutions and matrix products that do not run in INT8."""
    return tuple(layer for layer in layers if layer.multiplies and layer.precision != INT8)


def summary(layers: Sequence[EngineLayer]) -> tuple[tuple[str, str, int], ...]:
    """Kind, precision and how many layers, in the order of :data:`KINDS`, INT8 first."""
    counted = Counter((layer.kind, layer.precision) for layer in layers)
    order = sorted(counted, key=lambda key: (KINDS.index(key[0]), PRECISIONS.index(key[1])))
    return tuple((kind, precision, counted[kind, precision]) for kind, precision in order)


def is_product(node: str, beside: Collection[str] = ()) -> bool:
    """Whether a node of that name is a convolution or a linear layer.

    By the node that gives it INT8 weights, if that is one of ``beside``; else by how networks name
    such layers, which is all that is known of a node in an engine.
    """
    return f"{node}{_WEIGHT}" in beside or bool(_PRODUCT.search(node))


def findings(
    layers: Sequence[EngineLayer], quantized: Collection[str] | None = None
) -> tuple[str, ...]:
    """Plain sentences about what keeps the engine from being INT8 throughout; none is good news.

    ``quantized`` are the names of the graph's nodes whose weights are INT8: with them, a layer
    that fell back is told from one that the graph itself leaves in float. Layers are taken to be
    in the order in which they run.
    """
    told = []
    for precision in PRECISIONS[1:]:
        group = [layer for layer in fallen(layers) if layer.precision == precision]
        for words, part in _by_cause(group, quantized):
            runs = f"run in {precision}" if precision else "do not tell their precision"
            told.append(f"{words} {runs}: {named(part)}")
    between = _between_int8(layers)
    moves = [layer for layer in between if layer.kind == "reformat" and layer.precision == INT8]
    if moves:
        told.append(f"between INT8 layers, only changing the layout: {named(moves)}")
    casts = [layer for layer in between if layer.kind == "reformat" and layer.precision != INT8]
    if casts:
        told.append(f"between INT8 layers, converting from or to float: {named(casts)}")
    adds = [layer for layer in layers if _adds_alone(layer)]
    if adds:
        told.append(f"Adds that are not fused into a convolution: {named(adds)}")
    return tuple(told)


def named(layers: Sequence[EngineLayer], most: int = _SHOWN) -> str:
    """How many, and which: by the node that does the work, else by the engine's own name."""
    more = f" and {len(layers) - most} more" if len(layers) > most else ""
    return f"{len(layers)} ({', '.join(map(principal, layers[:most]))}{more})"


def principal(layer: EngineLayer) -> str:
    """The node that does the work; fused layers have names of hundreds of characters."""
    working = [node for node in layer.nodes if not _BRIDGE.search(node)]
    wanted = [
        node
        for node in working
        if (layer.multiplies and is_product(node, layer.nodes))
        or (not layer.multiplies and _ADD.search(node))
    ]
    return (wanted or working or [layer.name])[0][:_LONGEST]


def _by_cause(
    group: Sequence[EngineLayer], quantized: Collection[str] | None
) -> list[tuple[str, list[EngineLayer]]]:
    if quantized is None:
        fell = [layer for layer in group if any(n.endswith(_WEIGHT) for n in layer.nodes)]
        rest = "convolutions and matrix products that"
    else:
        fell = [layer for layer in group if any(node in quantized for node in layer.nodes)]
        rest = "left in float by the graph, these"
    left = [layer for layer in group if layer not in fell]
    parts = [("quantized in the graph, yet these", fell), (rest, left)]
    return [(words, part) for words, part in parts if part]


def _between_int8(layers: Sequence[EngineLayer]) -> Sequence[EngineLayer]:
    """From the first to the last INT8 product."""
    at = [i for i, layer in enumerate(layers) if layer.multiplies and layer.precision == INT8]
    return layers[at[0] : at[-1]] if at else ()


def _adds_alone(layer: EngineLayer) -> bool:
    if layer.multiplies or layer.kind != "elementwise":
        return False
    nodes = [node for node in layer.nodes if not node.startswith(_NORMALISATION)]
    return any(_ADD.search(node) for node in nodes)
