"""What all parts of the fake TensorRT share: what goes wrong, and how it reads a graph."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx

MAGIC = b"fakeplan"

TIMING = b"faketime"

NUMPY = {
    "FLOAT": np.float32,
    "HALF": np.float16,
    "INT8": np.int8,
    "INT32": np.int32,
    "INT64": np.int64,
    "BOOL": np.bool_,
    "UINT8": np.uint8,
}


class ProcessDiedError(BaseException):
    """The real one would have ended the process with a signal: no handler may catch that."""


@dataclass
class Faults:
    """What goes wrong. Each can be set when the module is made, and changed at any time."""

    no_cuda: bool = False
    """TypeError from Builder; TensorRT 8 dies in Runtime, later ones give no engine."""
    parse_errors: tuple[tuple[int, str], ...] = ()
    """Refusals of the parser: number of a node and reason."""
    build_error: str = ""
    """The builder logs this and gives None."""
    build_out_of_memory: bool = False
    build_s: float = 0
    build_kills: bool = False
    """The process ends by SIGKILL in the middle of the build: for child processes."""
    deserialize_fails: bool = False
    context_fails: bool = False
    execute_fails: bool = False
    execute_raises: str = ""
    wrong: float = 0
    """Is added to every result."""
    spoils: Callable[[str, Any], Any] | None = None
    """Makes of an output, by its name, what is given instead."""
    wrong_contexts: tuple[int, ...] = ()
    """Only results of these contexts of an engine are wrong, the first is 0; empty: of all."""
    timing_cache_refused: bool = False
    float_layers: tuple[str, ...] = ()
    """Convolutions that the inspector says run in float, whatever the graph has."""


@dataclass
class Fake:
    """What the module does not show: ``trt.fake``."""

    version: str
    cuda: Any
    device: str
    capability: str
    faults: Faults
    builds: list[dict[str, Any]] = field(default_factory=list)
    """What each build was asked: flags, network, pools, profiles, verbosity, level, progress."""
    runs: int = 0
    contexts: Any = field(default_factory=weakref.WeakSet)
    """Execution contexts that somebody still holds."""

    @property
    def major(self) -> int:
        return 11 if self.rtx else int(self.version.partition(".")[0])

    @property
    def rtx(self) -> bool:
        return self.version.startswith("1.")

    @property
    def blind(self) -> bool:
        """Whether there is no CUDA."""
        return self.faults.no_cuda or (self.cuda is not None and not self.cuda.devices)


def log(trt: Any, logger: Any, severity: str, text: str) -> None:
    """Tell the program's logger, by position, as C++ does."""
    logger.log(getattr(trt.ILogger.Severity, severity), text)


def host_memory(trt: Any, content: bytes) -> Any:
    """An IHostMemory: a buffer with a size and nothing else."""

    def refuse(self: Any, *_: Any) -> Any:
        raise TypeError("object of type 'IHostMemory' has no len(), nor items")

    def get(self: Any, name: str) -> Any:
        if name == "nbytes":
            return bytes.__len__(self)
        if name == "dtype":
            return trt.DataType.INT8
        if name.startswith("__"):
            return bytes.__getattribute__(self, name)
        raise AttributeError(f"'IHostMemory' object has no attribute '{name}'")

    space = {"__getattribute__": get, "__len__": refuse, "__getitem__": refuse, "__iter__": refuse}
    return type("IHostMemory", (bytes,), space)(content)


def inputs_of(model: onnx.ModelProto) -> list[Any]:
    """Inputs that are not weights."""
    tables = {each.name for each in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in tables]


def shape_of(value: Any) -> tuple[int, ...]:
    """Dimensions, -1 where free."""
    dims = value.type.tensor_type.shape.dim
    return tuple(dim.dim_value if dim.HasField("dim_value") else -1 for dim in dims)


def output_shape(model: Any, shapes: dict[str, tuple[int, ...]], name: str) -> tuple[int, ...]:
    """An output's shape, its free dimensions taken from the inputs' of the same name."""
    sizes = {}
    for value in inputs_of(model):
        dims = value.type.tensor_type.shape.dim
        sizes |= {d.dim_param: n for d, n in zip(dims, shapes[value.name], strict=True)}
    (value,) = (each for each in model.graph.output if each.name == name)
    dims = value.type.tensor_type.shape.dim
    return tuple(sizes.get(d.dim_param, -1) if d.dim_param else d.dim_value for d in dims)


def dtype_of(trt: Any, value: Any) -> Any:
    """TensorRT's type of a graph's value."""
    kind = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
    for name, numpy_type in NUMPY.items():
        if np.dtype(numpy_type) == kind:
            return getattr(trt.DataType, name)
    raise ValueError(f"TensorRT has no {kind}")
