"""ONNX Runtime: runs everywhere; the reference the others are held to."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from edgeresnet.backends.onnxruntime.host import HostTable
from edgeresnet.core.artifacts import Artifact, Graph
from edgeresnet.core.cores import cores
from edgeresnet.core.errors import DeviceError, ModelError
from edgeresnet.core.layers import EngineLayer
from edgeresnet.core.progress import Progress, silent
from edgeresnet.core.protocols import Backend, Engine, Mode, Session
from edgeresnet.core.target import Options, Target
from edgeresnet.core.tensors import IMAGE, Tensors, TensorSpec

ENTRY = "model.onnx"
TABLE = "edgeresnet.host_table"
_LEAVE_PAIRS = "session.disable_quant_qdq"
"""ONNX Runtime 1.31.1 fuses float16 Q/DQ pairs to something else: relative error 0.4 to 1."""


class OrtSession:
    """Own input planes; runs on the thread that calls."""

    def __init__(self, session: Any, table: HostTable | None) -> None:
        node = session.get_inputs()[0]
        self._session, self._table = session, table
        self._input = node.name
        self._outputs = [output.name for output in session.get_outputs()]
        self._planes = np.empty(node.shape, table.values.dtype if table else np.uint8)

    def infer(self, feeds: Tensors) -> Tensors:
        """Run once. The result is the caller's to keep."""
        if self._table is None:
            np.copyto(self._planes, feeds[IMAGE])
        else:
            self._table.apply(feeds[IMAGE], self._planes)
        try:
            values = self._session.run(self._outputs, {self._input: self._planes})
        except Exception as error:  # the runtime's exceptions share no public base
            raise DeviceError(f"ONNX Runtime failed in a run: {error}") from error
        return dict(zip(self._outputs, values, strict=True))


@dataclass(frozen=True)
class OrtEngine:
    """A loaded model; sessions share its weights."""

    loaded: Any
    table: HostTable | None
    """None for a graph that normalises by itself."""
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    parallel: int

    @property
    def layers(self) -> tuple[EngineLayer, ...]:
        """Nothing: this runtime does not tell."""
        return ()

    def session(self) -> Session:
        """A new session."""
        return OrtSession(self.loaded, self.table)


class OnnxRuntimeBackend:
    """ONNX Runtime on a CPU."""

    name = "onnxruntime"

    def version(self) -> str:
        """The vendor's version, as written into bundles."""
        return str(ort.__version__)

    def precisions(self, target: Target) -> Mapping[str, Options]:  # noqa: ARG002
        """Float32 alone: ONNX Runtime has no option for a CPU to compute such a graph in less."""
        return {"float32": {}}

    def compile(self, graph: Graph, target: Target, out: Path) -> Artifact:  # noqa: ARG002
        """Take the normalisation, and a Quantize right behind it, out of the graph.

        On the CPU they cost 2 to 4 ms of a ResNet-50's 12; the host's table costs a tenth.
        """
        from edgeresnet.backends.onnxruntime.compiler import write_body

        write_body(graph, out / ENTRY)
        return Artifact.of(graph, out, ENTRY, backend=self.name, normalisation="host")

    @contextmanager
    def load(
        self,
        artifact: Artifact,
        target: Target,
        mode: Mode,
        cache: Path | None,  # noqa: ARG002  this runtime compiles nothing that could be kept
        progress: Progress = silent,  # noqa: ARG002  or takes long
    ) -> Generator[Engine]:
        """Open the model on the target's execution provider.

        The target's options become entries of the session's configuration.
        """
        parallel = cores() if mode is Mode.THROUGHPUT else 1
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = 1 if mode is Mode.THROUGHPUT else cores()
        for key, value in target.options.items():
            text = str(int(value)) if isinstance(value, bool) else str(value)
            options.add_session_config_entry(key, text)
        if artifact.normalisation == "graph":  # of another backend, which may hold float16 Q/DQ
            options.add_session_config_entry(_LEAVE_PAIRS, "1")
        if target.device not in ort.get_available_providers():
            raise DeviceError(
                f"ONNX Runtime has no {target.device} here",
                hint=f"it has: {', '.join(ort.get_available_providers())}",
            )
        try:
            loaded = ort.InferenceSession(str(artifact.path), options, providers=[target.device])
        except Exception as error:  # the runtime's exceptions share no public base
            raise ModelError(
                f"ONNX Runtime {self.version()} cannot load {artifact.path.name}: "
                f"{str(error).splitlines()[0][:200]}"
            ) from error
        if artifact.normalisation == "graph":
            yield OrtEngine(loaded, None, artifact.inputs, artifact.outputs, parallel)
            return
        try:
            table = HostTable.from_text(loaded.get_modelmeta().custom_metadata_map[TABLE])
        except (KeyError, ValueError) as error:
            raise ModelError(
                f"{artifact.path.name} is a network, but not one that this backend compiled",
                hint="compile the graph again",
            ) from error
        yield OrtEngine(loaded, table, artifact.inputs, artifact.outputs, parallel)


backend: Backend = OnnxRuntimeBackend()
