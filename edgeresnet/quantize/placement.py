"""Which tensors get a Quantize/Dequantize pair, for which scheme."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgeresnet.core.contract import DECODE, NORMALISED
from edgeresnet.core.target import Scheme

if TYPE_CHECKING:
    import onnx

_WEIGHTED = ("Conv", "Gemm")


@dataclass(frozen=True)
class Placement:
    """Where Q/DQ goes in one graph.

    ``edges`` are (tensor, node name) pairs: that node reads the tensor through Q/DQ, others read
    it as it is. ``weighted`` are the names of nodes whose weights become INT8. ``same_as`` maps a
    tensor to the one whose scale it shares, because the operation between them only moves values.
    """

    edges: frozenset[tuple[str, str]]
    weighted: frozenset[str]
    same_as: dict[str, str]

    @property
    def tensors(self) -> list[str]:
        """Every tensor that needs a range, sorted."""
        return sorted({tensor for tensor, _ in self.edges} | set(self.same_as.values()))


def place(model: onnx.ModelProto, scheme: Scheme, float_nodes: Iterable[str] = ()) -> Placement:
    """Place Q/DQ in a float contract graph.

    Both schemes: the activation input of every convolution and linear layer, and of the global
    average. ``u8-affine`` adds both inputs of every residual Add and the pooling layers, since
    OpenVINO and ONNX Runtime run those in integers. ``s8-symmetric`` quantizes of an Add only the
    identity (or downsample) branch, so that TensorRT fuses DQ, convolution, Add and ReLU into one
    kernel; a pair on the main branch would prevent it. A detector's decoding stays in float.
    """
    nodes = list(model.graph.node)
    weights = {w.name for w in model.graph.initializer}
    left = set(float_nodes)
    producer = {name: node for node in nodes for name in node.output}
    depth = _depths(nodes)
    edges: set[tuple[str, str]] = set()
    weighted: set[str] = set()
    same_as: dict[str, str] = {}
    for node in nodes:
        if node.name in left or node.name.startswith(DECODE):
            continue
        if not node.input or node.input[0] not in depth:
            continue
        if is_layer(node, weights):
            edges.add((node.input[0], node.name))
            weighted.add(node.name)
        elif node.op_type == "GlobalAveragePool":
            edges.add((node.input[0], node.name))
        elif node.op_type == "MaxPool" and scheme is Scheme.U8_AFFINE:
            edges.add((node.input[0], node.name))
            same_as[node.output[0]] = node.input[0]
        elif node.op_type == "Add" and all(name in depth for name in node.input):
            if scheme is Scheme.U8_AFFINE:
                edges.update((name, node.name) for name in node.input)
            elif (branch := _fused_branch(node, producer, depth)) is not None:
                edges.update((name, node.name) for name in node.input if name != branch)
    _leave_useless_pools(nodes, edges, same_as)
    return Placement(frozenset(edges), frozenset(weighted), same_as)


def _leave_useless_pools(
    nodes: list[Any], edges: set[tuple[str, str]], pools: dict[str, str]
) -> None:
    """Leave the pools in float whose readers all are: nothing is gained from integers there."""
    for node in reversed(nodes):
        output = node.output[0]
        if output in pools and not any(tensor == output for tensor, _ in edges):
            del pools[output]
            edges.remove((node.input[0], node.name))


def is_layer(node: Any, weights: set[str]) -> bool:
    """Whether a node is a convolution or a plain linear layer with constant weight and bias."""
    if node.op_type not in _WEIGHTED or not all(name in weights for name in node.input[1:]):
        return False
    if node.op_type == "Conv":
        return True
    attributes = {a.name: a for a in node.attribute}
    return (
        "transB" in attributes
        and attributes["transB"].i == 1
        and ("transA" not in attributes or attributes["transA"].i == 0)
        and all(attributes[n].f == 1.0 for n in ("alpha", "beta") if n in attributes)
    )


def _depths(nodes: list[Any]) -> dict[str, int]:
    """Length of the longest way from the network's input to each activation tensor."""
    depth = {NORMALISED: 0}
    for node in nodes:
        known = [depth[name] for name in node.input if name in depth]
        if known:
            depth.update(dict.fromkeys(node.output, max(known) + 1))
    return depth


def _fused_branch(node: Any, producer: dict[str, Any], depth: Mapping[str, int]) -> str | None:
    """The input of an Add that a convolution gives, so that both become one kernel.

    Of two, the longer branch: the other is a downsample. None where no convolution gives one.
    """
    given = [n for n in node.input if n in producer and producer[n].op_type == "Conv"]
    return max(given, key=lambda name: depth[name], default=None)
