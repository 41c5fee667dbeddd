"""CUDA's driver API by ctypes: it tells what is wrong before TensorRT crashes."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from edgeresnet.core.errors import DeviceError, MissingBackendError

_LIBRARY = "libcuda.so.1"
_OUT_OF_MEMORY, _NO_DEVICE = 2, 100
_TOO_OLD = {34, 35, 803, 804}
"""A stand-in library, or a driver older than the libraries that call it."""
_MAJOR, _MINOR, _INTEGRATED, _MAPS_HOST, _PROCESSORS = 75, 76, 18, 19, 16
_SPIN_OR_YIELD, _BLOCK = 0, 4
_PORTABLE, _MAPPED = 1, 2
_RELAXED = 2
"""Capture mode: what other threads of this process do does not disturb it."""
_MB = 1 << 20


class CudaError(DeviceError):
    """A call of the driver that failed."""

    def __init__(self, call: str, code: int, name: str) -> None:
        hint = "close other programs that use the GPU, or take a smaller batch"
        super().__init__(
            f"CUDA {call} failed: {name} ({code})",
            hint=hint if code == _OUT_OF_MEMORY else "edgeresnet doctor looks at the driver",
        )
        self.code = code


class Cuda:
    """The driver, initialised; every call is checked."""

    def __init__(self, library: Any) -> None:
        self._library = library
        code = library.cuInit(0)
        if code == _NO_DEVICE:
            raise MissingBackendError(
                "the NVIDIA driver finds no GPU",
                hint="a container needs --gpus all; see nvidia-smi",
            )
        if code in _TOO_OLD:
            raise MissingBackendError(
                f"the NVIDIA driver does not fit its libraries: {self._name(code)} ({code})",
                hint="update the driver, or take a TensorRT of the driver's CUDA version",
            )
        if code:
            raise MissingBackendError(
                f"the NVIDIA driver does not start: {self._name(code)} ({code})",
                hint="reload the nvidia kernel module, or reboot; then edgeresnet doctor",
            )

    def call(self, name: str, *arguments: Any) -> None:
        """Call one function; CudaError unless it succeeds."""
        code = getattr(self._library, name)(*arguments)
        if code:
            raise CudaError(name, code, self._name(code))

    def _name(self, code: int) -> str:
        text = ctypes.c_char_p()
        if self._library.cuGetErrorName(code, ctypes.byref(text)) or not text.value:
            return "unknown error"
        return text.value.decode("ascii", "replace")

    def number(self, name: str, *arguments: Any) -> int:
        """What a function writes into an ``int`` that it gets first."""
        value = ctypes.c_int()
        self.call(name, ctypes.byref(value), *arguments)
        return value.value


@dataclass(frozen=True)
class Device:
    """One GPU."""

    ordinal: int
    name: str
    compute_capability: str
    """As ``8.7``."""
    processors: int
    """Streaming multiprocessors: all Orins have one name, and a power mode may turn some off."""
    integrated: bool
    """Whether it shares its memory with the processor, as on a Jetson."""
    maps_host: bool
    """Whether it can read and write pinned host memory in place."""
    cuda: int
    """Newest CUDA that the driver serves, as 12060."""


def open_driver(library: Any = None) -> Cuda:
    """The driver of this machine; MissingBackendError says which layer fails."""
    if library is None:
        try:
            library = ctypes.CDLL(_LIBRARY)
        except OSError as error:
            raise MissingBackendError(
                f"no NVIDIA driver here: {_LIBRARY} cannot be loaded",
                hint="TensorRT needs an NVIDIA GPU; a container needs --gpus all",
            ) from error
    return Cuda(library)


def find_device(cuda: Cuda, text: str) -> Device:
    """The GPU that a target calls ``cuda:0``."""
    kind, _, number = text.partition(":")
    count = cuda.number("cuDeviceGetCount")
    if kind != "cuda" or not (number or "0").isdecimal() or int(number or 0) >= count:
        raise DeviceError(
            f"no device {text} here",
            hint=f"devices: {', '.join(f'cuda:{i}' for i in range(count))}",
        )
    ordinal = int(number or 0)
    handle = cuda.number("cuDeviceGet", ordinal)
    name = ctypes.create_string_buffer(256)
    cuda.call("cuDeviceGetName", name, len(name), handle)

    def attribute(which: int) -> int:
        return cuda.number("cuDeviceGetAttribute", which, handle)

    return Device(
        ordinal=ordinal,
        name=name.value.decode("utf-8", "replace"),
        compute_capability=f"{attribute(_MAJOR)}.{attribute(_MINOR)}",
        processors=attribute(_PROCESSORS),
        integrated=bool(attribute(_INTEGRATED)),
        maps_host=bool(attribute(_MAPS_HOST)),
        cuda=cuda.number("cuDriverGetVersion"),
    )


@dataclass(frozen=True)
class Memory:
    """``size`` bytes that both sides reach, under one address on each."""

    host: int
    device: int
    size: int
    mapped: bool
    """Whether both addresses are of the same memory; else :class:`Stream` copies."""


@dataclass
class Context:
    """The process's context on one GPU; frees in :meth:`close` whatever was made with it."""

    cuda: Cuda
    device: Device
    handle: ctypes.c_void_p
    _frees: list[Callable[[], None]] = field(default_factory=list)

    def use(self) -> None:
        """Make it the calling thread's context: each thread that calls CUDA has to."""
        self.cuda.call("cuCtxSetCurrent", self.handle)

    def free_mb(self) -> int:
        """Device memory that nobody holds."""
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        self.cuda.call("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
        return free.value // _MB

    def memory(self, size: int) -> Memory:
        """Pinned host memory with device memory beside it; one and the same where the GPU shares.

        On a GPU that shares its memory with the processor a copy is a waste; on any other a read
        over the bus in the middle of a kernel is.
        """
        mapped = self.device.integrated and self.device.maps_host
        host = ctypes.c_void_p()
        flags = _PORTABLE | (_MAPPED if mapped else 0)
        self.cuda.call("cuMemHostAlloc", ctypes.byref(host), ctypes.c_size_t(size), flags)
        self._frees.append(lambda: self.cuda.call("cuMemFreeHost", host))
        device = ctypes.c_uint64()
        if mapped:
            self.cuda.call("cuMemHostGetDevicePointer_v2", ctypes.byref(device), host, 0)
        else:
            self.cuda.call("cuMemAlloc_v2", ctypes.byref(device), ctypes.c_size_t(size))
            self._frees.append(lambda: self.cuda.call("cuMemFree_v2", device))
        return Memory(host.value or 0, device.value, size, mapped)

    def stream(self) -> Stream:
        """A new stream."""
        handle = ctypes.c_void_p()
        self.cuda.call("cuStreamCreate", ctypes.byref(handle), 1)  # not ordered with stream 0
        self._frees.append(lambda: self.cuda.call("cuStreamDestroy_v2", handle))
        return Stream(self.cuda, handle, self._frees)

    def close(self) -> None:
        """Free everything, the newest first; a GPU that failed is past caring."""
        while self._frees:
            try:
                self._frees.pop()()
            except CudaError:
                continue


@dataclass(frozen=True)
class Stream:
    """Work for the GPU, done in order."""

    cuda: Cuda
    handle: ctypes.c_void_p
    _frees: list[Callable[[], None]]

    @property
    def address(self) -> int:
        """As TensorRT wants it."""
        return self.handle.value or 0

    def upload(self, memory: Memory) -> None:
        """Enqueue the copy to the GPU."""
        if not memory.mapped:
            device, host = ctypes.c_uint64(memory.device), ctypes.c_void_p(memory.host)
            size = ctypes.c_size_t(memory.size)
            self.cuda.call("cuMemcpyHtoDAsync_v2", device, host, size, self.handle)

    def download(self, memory: Memory) -> None:
        """Enqueue the copy from the GPU."""
        if not memory.mapped:
            device, host = ctypes.c_uint64(memory.device), ctypes.c_void_p(memory.host)
            size = ctypes.c_size_t(memory.size)
            self.cuda.call("cuMemcpyDtoHAsync_v2", host, device, size, self.handle)

    def wait(self) -> None:
        """Until everything enqueued is done."""
        self.cuda.call("cuStreamSynchronize", self.handle)

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """What ``work`` enqueues, as one graph; calling the result enqueues all of it again."""
        self.cuda.call("cuStreamBeginCapture_v2", self.handle, _RELAXED)
        graph, launchable = ctypes.c_void_p(), ctypes.c_void_p()
        try:
            work()
        finally:  # a capture must be ended, else the stream is of no more use
            self.cuda.call("cuStreamEndCapture", self.handle, ctypes.byref(graph))
            self._frees.append(lambda: self.cuda.call("cuGraphDestroy", graph))
        flags = ctypes.c_uint64(0)
        self.cuda.call("cuGraphInstantiateWithFlags", ctypes.byref(launchable), graph, flags)
        self._frees.append(lambda: self.cuda.call("cuGraphExecDestroy", launchable))
        return lambda: self.cuda.call("cuGraphLaunch", launchable, self.handle)


@contextmanager
def context(cuda: Cuda, device: Device, *, spin: bool) -> Generator[Context]:
    """The process's context on ``device``, current on this thread.

    ``spin``: waiting threads may burn a core to see a result microseconds sooner; else they sleep,
    so that other threads decode meanwhile. The first context of a process decides.
    """
    handle = cuda.number("cuDeviceGet", device.ordinal)
    flags = _SPIN_OR_YIELD if spin else _BLOCK
    with suppress(CudaError):  # active already, in this process
        cuda.call("cuDevicePrimaryCtxSetFlags_v2", handle, flags)
    retained = ctypes.c_void_p()
    cuda.call("cuDevicePrimaryCtxRetain", ctypes.byref(retained), handle)
    opened = Context(cuda, device, retained)
    try:
        opened.use()
        yield opened
    finally:
        with suppress(CudaError):  # a GPU that failed answers nothing else any more
            opened.use()
        opened.close()
        with suppress(CudaError):
            cuda.call("cuDevicePrimaryCtxRelease_v2", handle)
