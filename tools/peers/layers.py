"""Where ONNX Runtime and OpenVINO part on one Q/DQ graph, layer by layer."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import openvino as ov

from edgeresnet.backends.onnxruntime.reference import open_model
from edgeresnet.core.contract import PREFIX, load_onnx
from edgeresnet.core.tensors import IMAGE, LOGITS, Array, Pixels, Tensors
from peers.engines import compile_for_latency, read_for_openvino
from peers.subgraphs import cut, exposed, nearest, rounded

_LAYERS = frozenset({"Conv", "Add", "Gemm"})
_JOIN = "Add"


@dataclass(frozen=True)
class Parting:
    """How far apart the runtimes are behind one layer, its activation and its rounding.

    All as ``|difference| / |value|`` over all pictures.
    """

    layer: str
    kind: str
    apart: float
    """OpenVINO against ONNX Runtime in the whole graph, from the picture on."""
    moved: float
    """How far OpenVINO's own logits moved because this tensor was asked for as well. Not 0: it
    fuses the rounding here away in the whole graph, and keeps it only for the one who looks."""
    in_block: float
    """OpenVINO against ONNX Runtime from the same input of the residual block to here."""
    before: float
    """The largest ``in_block`` of the layers that feed this one; 0 for the first of a block."""

    @property
    def grown(self) -> float:
        """What this layer added within its block."""
        return self.in_block - self.before

    def as_json(self) -> dict[str, Any]:
        """Plain numbers."""
        return {**asdict(self), "grown": self.grown}


@dataclass(frozen=True)
class _Fed:
    """The input of a residual block: where it is fed in, and ONNX Runtime's values."""

    tensor: str
    values: Array


def partings(path: Path, pictures: Pixels) -> Iterator[Parting]:
    """Every Conv, Add and Gemm of the graph at ``path``, in its order.

    A layer is looked at behind the Dequantize that follows it: a raw output asked for would keep
    the runtimes from fusing layer, Relu and Quantize. ONNX Runtime gives all tensors at once, its
    logits unmoved; OpenVINO gives one at a time, since each may change what it fuses.
    """
    model = load_onnx(path)
    nodes = [n for n in model.graph.node if n.op_type in _LAYERS and PREFIX not in n.name]
    ends = {node.name: rounded(model, node) for node in nodes}
    makers = {output: node for node in model.graph.node for output in node.output}
    theirs = _onnxruntime(
        exposed(model, [end.tensor for end in ends.values()]), {IMAGE: np.array(pictures)}
    )
    plain = _openvino(read_for_openvino(path), [pictures])[0]
    joined: dict[str, _Fed] = {}
    in_block: dict[str, float] = {}
    for node in nodes:
        end = ends[node.name]
        read = read_for_openvino(path)
        if end.tensor != LOGITS:
            read.add_outputs([end.tensor])
        logits, *others = _openvino(read, [pictures])
        apart = _relative((others or [logits])[0], theirs[end.tensor])
        entering = nearest(node, makers, joined.keys())
        fed = {joined[name].tensor: joined[name].values for name in entering}
        in_block[end.tensor] = _from_same_input(model, fed, end.tensor) if fed else apart
        inside = nearest(node, makers, in_block.keys()) - entering
        before = max((in_block[name] for name in inside), default=0.0)
        yield Parting(
            layer=node.name,
            kind=node.op_type,
            apart=apart,
            moved=_relative(logits, plain),
            in_block=in_block[end.tensor],
            before=before,
        )
        if node.op_type == _JOIN:
            mine = {end.tensor: _Fed(end.feed, theirs[end.tensor])}
            joined = {name: joined[name] for name in entering} | mine


def _from_same_input(model: onnx.ModelProto, fed: Tensors, tensor: str) -> float:
    part = cut(model, fed, tensor)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "part.onnx"
        onnx.save(part, str(path))
        (ours,) = _openvino(read_for_openvino(path), list(fed.values()))
    return _relative(ours, _onnxruntime(part, fed)[tensor])


def _onnxruntime(model: onnx.ModelProto, feeds: Tensors) -> Mapping[str, Array]:
    run = open_model(model.SerializeToString())
    rows = [run(row) for row in _rows(feeds)]
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


def _rows(feeds: Tensors) -> Iterator[dict[str, Array]]:
    for i in range(len(next(iter(feeds.values())))):
        yield {name: array[i : i + 1] for name, array in feeds.items()}


def _openvino(model: ov.Model, inputs: Collection[Array]) -> list[Array]:
    """Every output, from ``inputs`` in the order of the model's."""
    compiled = compile_for_latency(model)
    rows: list[list[Array]] = []
    for arrays in zip(*inputs, strict=True):
        result = compiled([np.asarray(array)[None] for array in arrays])
        rows.append([np.array(result[i]) for i in range(len(compiled.outputs))])
    return [np.concatenate(column) for column in zip(*rows, strict=True)]


def _relative(one: Array, other: Array) -> float:
    return float(np.linalg.norm(one - other) / np.linalg.norm(other))
