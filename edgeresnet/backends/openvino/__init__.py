"""OpenVINO on Intel, AMD and ARM CPUs."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov

from edgeresnet.backends.openvino.layers import layers_of
from edgeresnet.core.artifacts import Artifact, Graph
from edgeresnet.core.errors import DeviceError, ModelError
from edgeresnet.core.layers import EngineLayer
from edgeresnet.core.progress import Progress, silent
from edgeresnet.core.protocols import Backend, Engine, Mode, Session
from edgeresnet.core.target import Options, Target
from edgeresnet.core.tensors import IMAGE, Tensors, TensorSpec

ENTRY = "model.xml"
PRECISION = "INFERENCE_PRECISION_HINT"
_HALVES = {"BF16": ("bfloat16", "bf16"), "FP16": ("float16", "f16")}
"""What OpenVINO calls a capability to our name and to the hint's value."""
_ASKED = ("f32", "bf16", "f16")
"""What the hint may ask for; ``dynamic`` leaves it to OpenVINO."""


class OvSession:
    """One infer request with its own input and output buffers."""

    def __init__(self, compiled: Any, outputs: tuple[TensorSpec, ...]) -> None:
        self._request = compiled.create_infer_request()
        self._input = self._request.get_input_tensor().data
        self._outputs = {
            spec.name: self._request.get_output_tensor(i).data for i, spec in enumerate(outputs)
        }

    def infer(self, feeds: Tensors) -> Tensors:
        """Run once. The result is the caller's until the next call on this session."""
        np.copyto(self._input, feeds[IMAGE])
        try:
            self._request.start_async()
            self._request.wait()
        except RuntimeError as error:
            raise DeviceError(f"OpenVINO failed in a run: {error}") from error
        return self._outputs


@dataclass(frozen=True)
class OvEngine:
    """A compiled model; each session is an infer request on it."""

    compiled: Any
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    parallel: int

    @cached_property
    def layers(self) -> tuple[EngineLayer, ...]:
        """What it is made of; asked of OpenVINO on first use only."""
        return layers_of(self.compiled)

    def session(self) -> Session:
        """A new session."""
        return OvSession(self.compiled, self.outputs)


class OpenVinoBackend:
    """OpenVINO."""

    name = "openvino"

    def version(self) -> str:
        """The vendor's version, as written into bundles."""
        return str(ov.__version__).split("-")[0]

    def precisions(self, target: Target) -> Mapping[str, Options]:
        """How a float graph can be computed on ``target``'s device here, ``float32`` first.

        Float32 alone on a device that is put together of others (``AUTO``) and on one that is not
        here, which :meth:`load` refuses.
        """
        try:
            capabilities = ov.Core().get_property(target.device, "OPTIMIZATION_CAPABILITIES")
        except RuntimeError:
            capabilities = []
        halves = [half for capability, half in _HALVES.items() if capability in capabilities]
        return {name: {PRECISION: hint} for name, hint in (("float32", "f32"), *halves)}

    def compile(self, graph: Graph, target: Target, out: Path) -> Artifact:  # noqa: ARG002
        """Import the network and save it as OpenVINO's own IR, which is all the device reads.

        ``convert_model`` is used and never ``read_model``: OpenVINO 2026.4.1 compiles Q/DQ graphs
        that came through the latter wrongly in 20 to 40 % of loads with two streams.
        """
        from edgeresnet.backends.openvino.compiler import write_ir

        write_ir(graph, out / ENTRY)
        return Artifact.of(graph, out, ENTRY, backend=self.name, normalisation="engine")

    @contextmanager
    def load(
        self,
        artifact: Artifact,
        target: Target,
        mode: Mode,
        cache: Path | None,
        progress: Progress = silent,  # noqa: ARG002  seconds at most
    ) -> Generator[Engine]:
        """Read the IR and compile it for this machine.

        Computation outside INT8 is float32 unless the target's options say otherwise: left alone,
        OpenVINO runs float graphs in bfloat16 where the CPU has it. A device that lacks what is
        asked for is an error; OpenVINO alone would take another precision.
        """
        core = ov.Core()
        config: dict[str, Any] = {
            "PERFORMANCE_HINT": mode.value.upper(),
            PRECISION: "f32",
            **target.options,
        }
        if cache is not None:
            config["CACHE_DIR"] = str(cache / self.version())
        try:
            model = core.read_model(str(artifact.path))
            compiled = core.compile_model(model, target.device, config)
            parallel = int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1][:200]
            raise ModelError(
                f"OpenVINO {self.version()} cannot load {artifact.path.name} "
                f"for {target.device}: {reason}",
                hint=f"devices here: {', '.join(core.available_devices) or 'none'}",
            ) from error
        asked, taken = str(config[PRECISION]), _precision(compiled)
        if asked in _ASKED and taken not in (asked, ""):
            raise DeviceError(
                f"OpenVINO's {target.device} here computes in {taken}, not in {asked}",
                hint=f"another {PRECISION} in the target's options, or compile for this machine",
            )
        yield OvEngine(compiled, artifact.inputs, artifact.outputs, parallel)


def _precision(compiled: Any) -> str:
    """What the network is computed in; empty where the device does not tell (``AUTO``)."""
    try:
        return str(compiled.get_property(PRECISION).get_type_name())
    except RuntimeError:
        return ""


backend: Backend = OpenVinoBackend()
