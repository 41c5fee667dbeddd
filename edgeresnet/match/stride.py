"""Which convolution of a bottleneck carries the stride: v1's first 1x1, or v1.5's 3x3."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from edgeresnet.core.contract import copy_of

if TYPE_CHECKING:
    import onnx


def move_stride(body: onnx.ModelProto, stride_in: str) -> bool:
    """Put the stride of each bottleneck into its ``1x1`` or ``3x3`` convolution, in place.

    Found by form: a 1x1 convolution, a ReLU and a 3x3 convolution in a row, one of them with
    stride 2. Returns whether there was any.
    """
    pairs = list(_pairs(body))
    for before, node in pairs:
        _set_strides(before, 2 if stride_in == "1x1" else 1)
        _set_strides(node, 1 if stride_in == "1x1" else 2)
    return bool(pairs)


def acts_on(body: onnx.ModelProto) -> str:
    """The first tensor whose statistics tell where the stride is; empty where there is no choice.

    It is what the first 3x3 convolution of such a pair gives, its BatchNorm behind it: the 1x1
    convolution gives the same values with a stride, only fewer.
    """
    _, node = next(_pairs(body), (None, None))
    if node is None:
        return ""
    name = str(node.output[0])
    behind = (n for n in body.graph.node if n.op_type == "BatchNormalization")
    return next((str(norm.output[0]) for norm in behind if norm.input[0] == name), name)


def _pairs(body: onnx.ModelProto) -> Iterator[tuple[Any, Any]]:
    """The 1x1 and the 3x3 convolution of each bottleneck that has a stride."""
    producer = {name: node for node in body.graph.node for name in node.output}
    for node in body.graph.node:
        if node.op_type != "Conv" or _ints(node, "kernel_shape") != [3, 3]:
            continue
        before = producer.get(node.input[0])
        while before is not None and before.op_type in ("Relu", "BatchNormalization"):
            before = producer.get(before.input[0])
        if before is None or before.op_type != "Conv" or _ints(before, "kernel_shape") != [1, 1]:
            continue
        if sorted([_ints(node, "strides"), _ints(before, "strides")]) == [[1, 1], [2, 2]]:
            yield before, node


def _ints(node: Any, name: str) -> list[int]:
    return next((list(a.ints) for a in node.attribute if a.name == name), [1, 1])


def _set_strides(node: Any, stride: int) -> None:
    for attribute in node.attribute:
        if attribute.name == "strides":
            attribute.ints[:] = [stride, stride]
            return
    import onnx

    node.attribute.append(onnx.helper.make_attribute("strides", [stride, stride]))


def stride_of(body: onnx.ModelProto) -> str:
    """Where the stride of the bottlenecks is: ``1x1``, ``3x3``, or empty for no bottlenecks."""
    copy = copy_of(body)
    if not move_stride(copy, "1x1"):
        return ""
    before = [_ints(n, "strides") for n in body.graph.node if n.op_type == "Conv"]
    after = [_ints(n, "strides") for n in copy.graph.node if n.op_type == "Conv"]
    return "1x1" if before == after else "3x3"
