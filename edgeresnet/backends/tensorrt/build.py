"""An ONNX file to an engine's plan, on the device: parse, configure, build."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeresnet.backends.tensorrt.monitor import Steps, new_monitor
from edgeresnet.backends.tensorrt.settings import Settings
from edgeresnet.backends.tensorrt.vendor import check_typing, flag, has, version
from edgeresnet.core.errors import DeviceError, EdgeError, MissingBackendError, ModelError
from edgeresnet.core.progress import Progress, silent

_MB = 1 << 20
_LEAST_MB, _MOST_WORKSPACE_MB = 300, 2048
_KEPT_ERRORS = 10
_EXTERNAL = ("CUBLAS", "CUBLAS_LT", "CUDNN")
"""Libraries of kernels that a ResNet does not need: some hundred MB of memory each."""
_NO_MEMORY = ("out of memory", "outofmemory", "insufficient memory", "cudaerrormemoryallocation")
_NO_KERNEL = re.compile(
    r"could not find any implementation for node ([^\s.]+(?:\.[^\s.]+)*)", re.IGNORECASE
)
_INITIALISES = re.compile(r"CUDA initialization failure with error: (\d+)")
_STEP = "build the engine"


@dataclass(frozen=True)
class Built:
    """What the builder gave."""

    plan: bytes
    timing: bytes
    """Timing cache: how fast each kernel was here, so that the next build need not try it."""
    seconds: float


def new_log(trt: Any) -> Any:
    """A logger of the vendor's that keeps errors, ``errors``, and prints nothing."""

    class Log(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, text: str) -> None:
            if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR):
                self.errors.append(text)
                del self.errors[_KEPT_ERRORS:-_KEPT_ERRORS]  # the cause, and the newest

    return Log()


def build(
    trt: Any,
    onnx: Path,
    settings: Settings,
    *,
    int8: bool,
    free_mb: int,
    timing: bytes = b"",
    last_s: float | None = None,
    progress: Progress = silent,
) -> Built:
    """Build ``onnx`` for the GPU whose CUDA context is current.

    ``int8`` tells that the graph has Q/DQ; ``free_mb`` is the device's free memory; ``last_s``, how
    long it took before, is all that can be told of the time where TensorRT reports no steps. Raises
    ModelError naming the node when the graph is refused, DeviceError when memory is short.
    """
    check_typing(trt, settings.typing)
    if free_mb < _LEAST_MB:
        raise DeviceError(
            f"{free_mb} MB of memory are free, building an engine needs at least {_LEAST_MB}",
            hint="close other programs (a desktop takes 1 GB of a Jetson), or add swap",
        )
    log = new_log(trt)
    step = f"{_STEP}, {last_s:.0f} s last time" if last_s else _STEP
    begin = time.monotonic()
    builder = new_builder(trt, log)
    network, parser = _parse(trt, builder, onnx, settings, log)
    config = builder.create_builder_config()
    workspace_mb = settings.workspace_mb or min(free_mb // 2, _MOST_WORKSPACE_MB)
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, workspace_mb * _MB)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    config.builder_optimization_level = settings.optimization_level
    _leave_external(trt, config)
    if settings.typing == "weak":
        if int8:
            config.set_flag(trt.BuilderFlag.INT8)
        if settings.precision == "float16":
            config.set_flag(trt.BuilderFlag.FP16)
    _add_profile(builder, config, network, settings)
    for known in (timing, b"") if timing else (b"",):  # that of another version is refused
        cache = config.create_timing_cache(known)
        if cache is not None and config.set_timing_cache(cache, ignore_mismatch=False):
            break
    log.errors.clear()  # a cache that does not fit is one
    steps = Steps(step, progress)
    monitor = new_monitor(trt, steps)
    if monitor is not None:
        config.progress_monitor = monitor
    progress(step, 0, 1)
    plan = builder.build_serialized_network(network, config)
    if steps.stopped is not None:
        raise steps.stopped
    if plan is None:
        raise _refusal(trt, onnx, log.errors, workspace_mb)
    del parser  # it holds what the network refers to until here
    kept = config.get_timing_cache()
    return Built(
        bytes(plan),
        bytes(kept.serialize()) if kept is not None else b"",
        time.monotonic() - begin,
    )


def new_builder(trt: Any, log: Any) -> Any:
    """A builder, or the reason why this machine can have none."""
    try:
        builder = trt.Builder(log)
    except TypeError as error:  # how the bindings tell that there is no CUDA
        raise MissingBackendError(
            f"TensorRT {version(trt)} finds no usable GPU: {cuda_reason(log.errors)}",
            hint="edgeresnet doctor looks at driver, CUDA and TensorRT",
        ) from error
    return builder


def cuda_reason(errors: list[str]) -> str:
    """What TensorRT's log says of CUDA, in words."""
    for text in errors:
        if match := _INITIALISES.search(text):
            old = "the driver is absent or older than this TensorRT's CUDA"
            return old if match[1] == "35" else f"CUDA error {match[1]}"
    return errors[0][:160] if errors else "no reason given"


def _parse(trt: Any, builder: Any, onnx: Path, settings: Settings, log: Any) -> tuple[Any, Any]:
    flags = trt.NetworkDefinitionCreationFlag
    bits = flag(flags, "EXPLICIT_BATCH")
    if settings.typing == "strong":
        bits |= flag(flags, "STRONGLY_TYPED")
    network = builder.create_network(bits)
    parser = trt.OnnxParser(network, log)
    if not parser.parse_from_file(str(onnx)):
        errors = [parser.get_error(i) for i in range(parser.num_errors)]
        what = _told(errors[0]) if errors else cuda_reason(log.errors)
        raise ModelError(
            f"TensorRT {version(trt)} refuses {onnx.name}: {what}",
            hint="edgeresnet inspect --lint on the graph, or keep that node in float",
        )
    if network.get_input(0) is None:
        raise ModelError(f"{onnx.name} holds no network", hint="copy the bundle again")
    return network, parser


def _told(error: Any) -> str:
    """A parser's error with its node; older parsers tell the node's number alone."""
    name = error.node_name() if hasattr(error, "node_name") else ""
    operator = error.node_operator() if hasattr(error, "node_operator") else ""
    number = f"node {error.node()}" if error.node() >= 0 else ""  # an initializer is no node
    at = f"{name} ({operator})" if name and operator else name or number
    desc = " ".join(error.desc().split())[:200]
    return f"{at}: {desc}" if at else desc


def _leave_external(trt: Any, config: Any) -> None:
    """Do without libraries that this version may take kernels from, where it has a choice."""
    for name in _EXTERNAL:
        if has(trt.TacticSource, name):
            config.set_tactic_sources(config.get_tactic_sources() & ~flag(trt.TacticSource, name))


def _add_profile(builder: Any, config: Any, network: Any, settings: Settings) -> None:
    tensor = network.get_input(0)
    shape = tuple(tensor.shape)
    if shape[0] >= 0:
        return
    profile = builder.create_optimization_profile()
    profile.set_shape(tensor.name, *((batch, *shape[1:]) for batch in settings.batches))
    if config.add_optimization_profile(profile) < 0:
        raise ModelError(
            f"TensorRT refuses the batches {settings.batches} for {tensor.name} {shape}"
        )


def _refusal(trt: Any, onnx: Path, errors: list[str], workspace_mb: int) -> EdgeError:
    """Why the builder gave nothing."""
    text = " ".join(errors)
    if any(sign in text.lower() for sign in _NO_MEMORY):
        return DeviceError(
            f"out of memory while TensorRT {version(trt)} built {onnx.name}",
            hint=f"close other programs, add swap, or options workspace_mb under {workspace_mb}",
        )
    if match := _NO_KERNEL.search(text):
        return ModelError(
            f"TensorRT {version(trt)} has no kernel for {match[1]} of {onnx.name}",
            hint=f"options workspace_mb over {workspace_mb}, or a recipe with it in float_nodes",
        )
    return ModelError(
        f"TensorRT {version(trt)} cannot build {onnx.name}: {cuda_reason(errors)}",
        hint="edgeresnet inspect --lint on the graph",
    )
