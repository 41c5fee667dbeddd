"""A deserialized engine and its sessions: own context, stream and pinned buffers each."""

from __future__ import annotations

import ctypes
import statistics
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np

from edgeresnet.backends.tensorrt.cuda import Context, CudaError, Memory
from edgeresnet.backends.tensorrt.layers import layers_of
from edgeresnet.core.errors import DeviceError, ModelError
from edgeresnet.core.layers import EngineLayer
from edgeresnet.core.protocols import Session
from edgeresnet.core.tensors import Array, Tensors, TensorSpec

_KINDS = {
    "FLOAT": np.float32,
    "HALF": np.float16,
    "UINT8": np.uint8,
    "INT8": np.int8,
    "INT32": np.int32,
    "INT64": np.int64,
    "BOOL": np.bool_,
}
_TRIED = 20
"""Runs of each way to launch, when it is measured which is faster."""


@dataclass(frozen=True)
class _Tensor:
    """One input or output in memory that both sides reach."""

    name: str
    memory: Memory
    array: Array


class TrtSession:
    """One execution context; the arrays that it gives are its own, filled anew each time."""

    def __init__(
        self,
        engine: TrtEngine,
        context: Any,
        batch: int,
        cuda_graph: Literal["measure", "on", "off"],
    ) -> None:
        self._cuda, self._context = engine.cuda, context
        self._cuda.use()
        self._stream = self._cuda.stream()
        self._inputs: list[_Tensor] = []
        self._outputs: list[_Tensor] = []
        trt, loaded = engine.trt, engine.loaded
        names = [loaded.get_tensor_name(i) for i in range(loaded.num_io_tensors)]
        takes = [n for n in names if loaded.get_tensor_mode(n) == trt.TensorIOMode.INPUT]
        for name in takes:
            shape = _with_batch(tuple(loaded.get_tensor_shape(name)), batch)
            if not context.set_input_shape(name, shape):
                raise ModelError(f"TensorRT refuses the shape {shape} for {name}")
        for name in names:
            tensor = self._tensor(name, loaded.get_tensor_dtype(name))
            (self._inputs if name in takes else self._outputs).append(tensor)
        self._result = {tensor.name: tensor.array for tensor in self._outputs}
        self._recorded: Callable[[], None] | None = None
        self._run()  # the first run allocates; a graph cannot be recorded before
        if cuda_graph != "off":
            self._record(always=cuda_graph == "on")

    def infer(self, feeds: Tensors) -> Tensors:
        """Run once. The result is the caller's until the next call on this session."""
        for tensor in self._inputs:
            fed = feeds[tensor.name]
            if fed.shape != tensor.array.shape:
                takes = tensor.array.shape
                raise ValueError(f"{tensor.name} has shape {fed.shape}, the engine takes {takes}")
            np.copyto(tensor.array, fed, casting="no")
        self._cuda.use()
        self._run()
        return self._result

    def close(self) -> None:
        """Let go of the context, before its engine goes, and of memory that will be freed."""
        self._context = self._recorded = None
        self._inputs, self._outputs, self._result = [], [], {}

    def _tensor(self, name: str, kind: Any) -> _Tensor:
        dtype: np.dtype[Any] = np.dtype(_KINDS[kind.name])
        shape = tuple(self._context.get_tensor_shape(name))
        memory = self._cuda.memory(max(int(np.prod(shape)) * dtype.itemsize, 1))
        self._context.set_tensor_address(name, memory.device)
        raw = np.ctypeslib.as_array((ctypes.c_uint8 * memory.size).from_address(memory.host))
        return _Tensor(name, memory, raw.view(dtype).reshape(shape))

    def _run(self) -> None:
        try:
            if self._recorded is None:
                self._enqueue()
            else:
                self._recorded()
            self._stream.wait()
        except CudaError as error:
            hint = "start again: a GPU that failed once gives nothing more in this process"
            raise DeviceError(f"the GPU failed in a run: {error.what}", hint=hint) from error

    def _enqueue(self) -> None:
        for tensor in self._inputs:
            self._stream.upload(tensor.memory)
        if not self._context.execute_async_v3(self._stream.address):
            raise DeviceError("TensorRT cannot enqueue a run", hint="edgeresnet doctor")
        for tensor in self._outputs:
            self._stream.download(tensor.memory)

    def _record(self, *, always: bool) -> None:
        """Launch all of a run as one recorded graph, where that works and pays."""
        try:
            recorded = self._stream.record(self._enqueue)
            recorded()
            self._stream.wait()
        except (CudaError, DeviceError):  # not every engine can be recorded
            return
        if always or self._median_s(recorded) < self._median_s(self._enqueue):
            self._recorded = recorded

    def _median_s(self, launch: Callable[[], None]) -> float:
        spent = []
        for _ in range(_TRIED):
            begin = time.perf_counter()
            launch()
            self._stream.wait()
            spent.append(time.perf_counter() - begin)
        return statistics.median(spent)


@dataclass
class TrtEngine:
    """A deserialized engine. Runtime and log must live as long as it does."""

    trt: Any
    runtime: Any
    loaded: Any
    cuda: Context
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    parallel: int
    batch: int
    cuda_graph: Literal["measure", "on", "off"]
    log: Any
    _sessions: list[TrtSession] = field(default_factory=list)

    def session(self) -> Session:
        """A new session; DeviceError when the GPU's memory does not hold another."""
        self.cuda.use()
        context = self.loaded.create_execution_context()
        if context is None:
            raise DeviceError(
                f"TensorRT cannot make another session: {(self.log.errors or ['no memory'])[-1]}",
                hint="close other programs that use the GPU, or take a smaller batch",
            )
        session = TrtSession(self, context, self.batch, self.cuda_graph)
        self._sessions.append(session)
        return session

    @cached_property
    def layers(self) -> tuple[EngineLayer, ...]:
        """What it is made of, as its inspector tells."""
        inspector = self.loaded.create_engine_inspector()
        form = self.trt.LayerInformationFormat.JSON
        return layers_of(inspector.get_engine_information(form))

    def close(self) -> None:
        """Free contexts, then the engine, then the runtime, all before CUDA's own context.

        In another order, or whenever the garbage is collected, TensorRT crashes.
        """
        with suppress(CudaError):  # of a GPU that failed
            self.cuda.use()
        while self._sessions:
            self._sessions.pop().close()
        self.loaded = None
        self.runtime = None


def _with_batch(shape: tuple[int, ...], batch: int) -> tuple[int, ...]:
    return tuple(batch if size < 0 else size for size in shape)
