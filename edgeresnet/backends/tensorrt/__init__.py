"""TensorRT on NVIDIA GPUs: engines built on the device from the bundle's ONNX, never shipped."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from edgeresnet.backends.tensorrt import vendor
from edgeresnet.backends.tensorrt.build import Built, build, cuda_reason, new_log
from edgeresnet.backends.tensorrt.cuda import (
    Context,
    Cuda,
    Device,
    context,
    find_device,
    open_driver,
)
from edgeresnet.backends.tensorrt.session import TrtEngine
from edgeresnet.backends.tensorrt.settings import Settings, settings_of
from edgeresnet.backends.tensorrt.store import Store
from edgeresnet.core.artifacts import Artifact, Graph
from edgeresnet.core.errors import ModelError
from edgeresnet.core.files import sha256_file
from edgeresnet.core.progress import Progress, silent
from edgeresnet.core.protocols import Backend, Engine, Mode
from edgeresnet.core.target import Options, Scheme, Target
from edgeresnet.core.tensors import TensorSpec

ENTRY = "model.onnx"
_STREAMS = 2
"""Sessions for throughput: while one copies its picture, the other computes."""
_log = logging.getLogger("edgeresnet")


@dataclass(frozen=True)
class TensorRtBackend:
    """TensorRT 10 and 11, TensorRT-RTX, and 8.6 by flags."""

    find: Callable[[str], Any] = vendor.find
    """Module by name; tests give one of their own."""
    driver: Callable[[], Cuda] = open_driver
    name: str = "tensorrt"

    def version(self) -> str:
        """Of the first of the modules that is here."""
        return vendor.version(vendor.first(self.find))

    def precisions(self, target: Target) -> Mapping[str, Options]:  # noqa: ARG002
        """Float32 (TF32 where the GPU has it) and float16, on every GPU that a target names."""
        return {name: {"precision": name} for name in ("float32", "float16")}

    def compile(self, graph: Graph, target: Target, out: Path) -> Artifact:
        """Write the graph in the types that the engine shall compute in; no GPU is needed."""
        from edgeresnet.backends.tensorrt.typed import write_typed

        settings = settings_of(target)
        strong = settings.typing == "strong"
        write_typed(graph, settings.precision if strong else "float32", out / ENTRY)
        return Artifact.of(
            graph, out, ENTRY, backend=self.name, normalisation="graph", on_device=True
        )

    @contextmanager
    def load(
        self,
        artifact: Artifact,
        target: Target,
        mode: Mode,
        cache: Path | None,
        progress: Progress = silent,
    ) -> Generator[Engine]:
        """Take the engine from the store, or build it; minutes on a small board.

        The driver is asked before TensorRT, which may crash the process where there is none.
        """
        settings = settings_of(target)
        if not artifact.path.is_file():
            raise ModelError(f"{artifact.entry} is missing", hint="copy the bundle again")
        cuda = self.driver()
        trt = self.find(settings.module)
        device = find_device(cuda, target.device)
        with context(cuda, device, spin=mode is Mode.LATENCY) as opened:
            making = _Making(trt, artifact, settings, target.memory_mb, opened, progress)
            engine = making.engine(cache)
            engine.parallel = _STREAMS if mode is Mode.THROUGHPUT else 1
            try:
                yield engine
            finally:
                engine.close()


@dataclass(frozen=True)
class _Making:
    """What an engine is made of, and with."""

    trt: Any
    artifact: Artifact
    settings: Settings
    memory_mb: int
    """What the target says may be counted on."""
    cuda: Context
    progress: Progress

    def engine(self, cache: Path | None) -> TrtEngine:
        """From the store where it has one of exactly this identity, else built and kept.

        A store that cannot be written (a full disk, one that is read only) is done without.
        """
        store: Store | None = None
        with ExitStack() as stack:
            if cache is not None:
                try:
                    store = Store(cache)
                    stack.enter_context(store.alone(self.progress))
                except OSError as error:
                    store = None
                    _log.warning("engines cannot be kept in %s: %s", cache, error.strerror or error)
            if store is None:
                return self._opened(self._build().plan, built_here=True)
            return self._from(store)

    def _from(self, store: Store) -> TrtEngine:
        identity = self._identity()
        kept = store.find(identity)
        if kept is not None:
            try:
                return self._opened(kept.plan, built_here=False)
            except ModelError as error:
                _log.warning("the engine is built again: %s", error.what)
                store.drop(identity)
        kind = f"{identity['TensorRT']} {identity['GPU']} {identity['driver']}"
        built = self._build(store.timing(kind), store.last_built_s())
        engine = self._opened(built.plan, built_here=True)
        store.keep_timing(kind, built.timing)
        store.keep(identity, built.plan, built.seconds)
        return engine

    def _build(self, timing: bytes = b"", last_s: float | None = None) -> Built:
        return build(
            self.trt,
            self.artifact.path,
            self.settings,
            int8=self.artifact.scheme is not Scheme.FLOAT,
            free_mb=min(_free_mb(self.cuda), self.memory_mb),
            timing=timing,
            last_s=last_s,
            progress=self.progress,
        )

    def _opened(self, plan: bytes, *, built_here: bool) -> TrtEngine:
        log = new_log(self.trt)
        runtime = self.trt.Runtime(log)
        loaded = runtime.deserialize_cuda_engine(plan)
        if loaded is None:
            of = "its own" if built_here else "the kept"
            raise ModelError(
                f"TensorRT {vendor.version(self.trt)} does not take {of} engine: "
                f"{cuda_reason(log.errors)}",
                hint="edgeresnet doctor looks at driver, CUDA and TensorRT",
            )
        batch = self.artifact.inputs[0].shape[0] or self.settings.batch_opt
        fixed = partial(_with_batch, batch=batch)
        return TrtEngine(
            trt=self.trt,
            runtime=runtime,
            loaded=loaded,
            cuda=self.cuda,
            inputs=tuple(map(fixed, self.artifact.inputs)),
            outputs=tuple(map(fixed, self.artifact.outputs)),
            parallel=1,
            batch=batch,
            cuda_graph=self.settings.cuda_graph,
            log=log,
        )

    def _identity(self) -> dict[str, str]:
        """All that an engine is good for; another of any is another engine."""
        device: Device = self.cuda.device
        return {
            "graph": sha256_file(self.artifact.path),
            "TensorRT": f"{self.trt.__name__} {vendor.version(self.trt)}",
            "GPU": f"{device.name} (compute capability {device.compute_capability}, "
            f"{device.processors} multiprocessors)",
            "driver": f"{vendor.platform_identity()} CUDA {device.cuda}",
            "options": self.settings.model_dump_json(exclude={"cuda_graph", "module"}),
        }


def _with_batch(spec: TensorSpec, batch: int) -> TensorSpec:
    """A tensor whose batch is free, at the batch that sessions have."""
    return replace(spec, shape=(spec.shape[0] or batch, *spec.shape[1:]))


def _free_mb(cuda: Context) -> int:
    """Memory to build in: a shared one counts what the system can take back from its caches."""
    if not cuda.device.integrated:
        return cuda.free_mb()
    import psutil

    return int(psutil.virtual_memory().available) >> 20


backend: Backend = TensorRtBackend()
