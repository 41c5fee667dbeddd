"""What an ONNX file holds, a contract graph or anyone's."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeresnet.core.artifacts import Graph
from edgeresnet.core.contract import graph_of, load_onnx, read_metadata, tensor_specs
from edgeresnet.core.files import sha256_file
from edgeresnet.core.tensors import TensorSpec


@dataclass(frozen=True)
class OnnxReport:
    """An ONNX file that passed the checker."""

    path: Path
    sha256: str
    opset: int
    producer: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    nodes: Mapping[str, int]
    """Type of node to how many there are, the most frequent first."""
    parameters: int
    """Number of values in the file's weights, scales and zero points included."""
    graph: Graph | None
    """The contract graph that it is, if it is one."""
    arch: str = ""
    """The network's name, if it is a contract graph."""

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        report: dict[str, Any] = {
            "kind": "onnx" if self.graph is None else "graph",
            "file": str(self.path),
            "sha256": self.sha256,
            "opset": self.opset,
            "producer": self.producer,
            "inputs": [_as_json(spec) for spec in self.inputs],
            "outputs": [_as_json(spec) for spec in self.outputs],
            "nodes": dict(self.nodes),
            "parameters": self.parameters,
        }
        if self.graph is None:
            return report
        return {
            **report,
            "arch": self.arch,
            "task": self.graph.task,
            "scheme": self.graph.scheme.value,
            "preprocess": self.graph.preprocess.model_dump(mode="json"),
            "labels": len(self.graph.labels),
            "evidence": dict(self.graph.evidence),
        }


def inspect_onnx(path: Path | str) -> OnnxReport:
    """Read and check an ONNX file; damaged metadata of a contract graph is an error."""
    path = Path(path)
    model = load_onnx(path)
    metadata = read_metadata(model)
    weights = {weight.name for weight in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    types = Counter(node.op_type for node in model.graph.node)
    producer = f"{model.producer_name} {model.producer_version}".strip()
    return OnnxReport(
        path=path,
        sha256=sha256_file(path),
        opset=next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 0),
        producer=producer,
        inputs=tensor_specs(inputs),
        outputs=tensor_specs(model.graph.output),
        nodes=dict(types.most_common()),
        parameters=sum(math.prod(weight.dims) for weight in model.graph.initializer),
        graph=graph_of(model, path) if "schema" in metadata else None,
        arch=metadata.get("arch", ""),
    )


def _as_json(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "dtype": spec.dtype, "shape": list(spec.shape)}
