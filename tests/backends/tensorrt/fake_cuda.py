"""A CUDA driver without a GPU: called as through ctypes, strict, and it counts what is held.

Device memory is this process's own. Work on a stream waits until somebody waits for the stream,
which is the latest a GPU may do it: whoever forgets to wait reads what was there before. Bare
numbers where C takes 64 bits are refused, as ctypes would cut them.
"""

# ruff: noqa: N802, N815  the driver's own names
from __future__ import annotations

import ctypes
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

INVALID_VALUE, OUT_OF_MEMORY, NOT_INITIALIZED = 1, 2, 3
NO_DEVICE, INVALID_DEVICE, INVALID_CONTEXT = 100, 101, 201
INVALID_HANDLE, ILLEGAL_ADDRESS = 400, 700
CAPTURE_UNSUPPORTED, CAPTURE_INVALIDATED = 900, 901
NAMES = {
    0: "CUDA_SUCCESS",
    INVALID_VALUE: "CUDA_ERROR_INVALID_VALUE",
    OUT_OF_MEMORY: "CUDA_ERROR_OUT_OF_MEMORY",
    NOT_INITIALIZED: "CUDA_ERROR_NOT_INITIALIZED",
    34: "CUDA_ERROR_STUB_LIBRARY",
    35: "CUDA_ERROR_INSUFFICIENT_DRIVER",
    NO_DEVICE: "CUDA_ERROR_NO_DEVICE",
    INVALID_DEVICE: "CUDA_ERROR_INVALID_DEVICE",
    INVALID_CONTEXT: "CUDA_ERROR_INVALID_CONTEXT",
    INVALID_HANDLE: "CUDA_ERROR_INVALID_HANDLE",
    ILLEGAL_ADDRESS: "CUDA_ERROR_ILLEGAL_ADDRESS",
    719: "CUDA_ERROR_LAUNCH_FAILED",
    803: "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
    CAPTURE_UNSUPPORTED: "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED",
    CAPTURE_INVALIDATED: "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED",
    999: "CUDA_ERROR_UNKNOWN",
}
MB = 1 << 20
MAPPED = 2
_EARLY = {"cuInit", "cuDriverGetVersion", "cuGetErrorName", "cuGetErrorString"}
"""What may be called before ``cuInit``."""
_NO_CONTEXT = _EARLY | {"cuCtxSetCurrent", "cuCtxGetCurrent", "cuMemGetInfo_v2"}
_ALLOCATES = {"cuMemAlloc_v2", "cuMemFree_v2", "cuMemHostAlloc", "cuMemFreeHost"}
_RELAXED = 2
_GARBAGE = 0xCD
_ALIGNED = 256

# What C takes: i 32 bits, q 64 bits or a handle, I a pointer to 32 bits, Q one to 64, s a buffer
SIGNATURES = {
    "cuInit": "i",
    "cuDriverGetVersion": "I",
    "cuGetErrorName": "iQ",
    "cuGetErrorString": "iQ",
    "cuDeviceGetCount": "I",
    "cuDeviceGet": "Ii",
    "cuDeviceGetName": "sii",
    "cuDeviceGetAttribute": "Iii",
    "cuDeviceTotalMem_v2": "Qi",
    "cuDeviceGetUuid": "si",
    "cuDeviceGetUuid_v2": "si",
    "cuDevicePrimaryCtxRetain": "Qi",
    "cuDevicePrimaryCtxSetFlags_v2": "ii",
    "cuDevicePrimaryCtxRelease_v2": "i",
    "cuCtxSetCurrent": "q",
    "cuCtxGetCurrent": "Q",
    "cuCtxSynchronize": "",
    "cuMemGetInfo_v2": "QQ",
    "cuMemAlloc_v2": "Qq",
    "cuMemFree_v2": "q",
    "cuMemHostAlloc": "Qqi",
    "cuMemHostGetDevicePointer_v2": "Qqi",
    "cuMemFreeHost": "q",
    "cuMemcpyHtoD_v2": "qqq",
    "cuMemcpyDtoH_v2": "qqq",
    "cuMemcpyHtoDAsync_v2": "qqqq",
    "cuMemcpyDtoHAsync_v2": "qqqq",
    "cuStreamCreate": "Qi",
    "cuStreamSynchronize": "q",
    "cuStreamDestroy_v2": "q",
    "cuStreamBeginCapture_v2": "qi",
    "cuStreamEndCapture": "qQ",
    "cuGraphInstantiateWithFlags": "Qqq",
    "cuGraphLaunch": "qq",
    "cuGraphDestroy": "q",
    "cuGraphExecDestroy": "q",
}
_SIZES = {"I": 4, "Q": 8}


class FailedError(Exception):
    """Ends a call with a code."""

    def __init__(self, code: int) -> None:
        super().__init__(NAMES.get(code, str(code)))
        self.code = code


class Stream:
    """Work that waits, and a capture where one is running."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []
        self.capture: list[Callable[[], None]] | None = None
        self.relaxed = False
        self.broken = False


class FakeCuda:
    """One machine's driver; give it to whatever takes a ``ctypes.CDLL`` of libcuda.

    ``fail`` makes a function answer with a code. ``calls`` counts calls by name, ``held()`` tells
    what is not freed, ``missing`` names functions that this driver is too old to have.
    """

    def __init__(
        self,
        *,
        name: str = "Orin",
        capability: tuple[int, int] = (8, 7),
        integrated: bool = True,
        maps_host: bool = True,
        total_mb: int = 7620,
        free_mb: int = 5000,
        driver: int = 12060,
        devices: int = 1,
        missing: tuple[str, ...] = (),
    ) -> None:
        self.name, self.capability, self.driver, self.devices = name, capability, driver, devices
        self.attributes = {75: capability[0], 76: capability[1], 18: integrated, 19: maps_host}
        self.attributes[16] = 16  # multiprocessors
        self.total, self.free = total_mb * MB, free_mb * MB
        self.calls: Counter[str] = Counter()
        self.flags: int | None = None
        self._missing = missing
        self._failures: dict[str, list[int | None]] = {}
        self._ready = False
        self._current = threading.local()
        self._retained: Counter[int] = Counter()
        self._device: dict[int, Any] = {}
        self._host: dict[int, Any] = {}
        self._mapped: set[int] = set()
        self._streams: dict[int, Stream] = {}
        self._graphs: dict[int, list[Callable[[], None]]] = {}
        self._launchable: dict[int, list[Callable[[], None]]] = {}
        self._handles = iter(range(0x7F00_0000_1000, 1 << 62, 16))  # more than 32 bits, as real
        self._texts = [ctypes.create_string_buffer(text.encode()) for text in NAMES.values()]
        self._lock = threading.RLock()
        self._functions = {name: Function(self, name) for name in SIGNATURES if name not in missing}

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["_functions"][name]
        except KeyError:
            raise AttributeError(f"libcuda.so.1: undefined symbol: {name}") from None

    # what tests ask

    def fail(self, name: str, code: int, *, after: int = 0, times: int | None = None) -> None:
        """Answer calls of ``name`` with ``code``: those after ``after`` good ones, ``times`` often.

        What a stream has still to do is not done where its wait fails.
        """
        self._failures[name] = [code, after, times]

    def held(self) -> dict[str, int]:
        """What was made and not freed, by kind, with the bytes of each kind of memory."""
        held = {
            "contexts": self._retained.total(),
            "device memory": sum(len(block) for block in self._device.values()),
            "host memory": sum(len(block) for block in self._host.values()),
            "streams": len(self._streams),
            "graphs": len(self._graphs),
            "launchable graphs": len(self._launchable),
        }
        return {kind: number for kind, number in held.items() if number}

    # what the fake TensorRT asks

    def enqueue(self, stream: int, work: Callable[[], None]) -> None:
        """Put work on a stream: done when waited for, or whenever its capture is launched."""
        found = self._stream(stream)
        (found.waiting if found.capture is None else found.capture).append(work)

    def capturing(self, stream: int) -> bool:
        return self._stream(stream).capture is not None

    def break_capture(self, stream: int) -> None:
        """What cannot be captured was tried."""
        self._stream(stream).broken = True

    def reachable(self, address: int, size: int) -> bool:
        """Whether a kernel may touch these bytes."""
        return self._within(self._device, address, size) or any(
            self._within({start: self._host[start]}, address, size) for start in self._mapped
        )

    # bookkeeping

    def answer(self, name: str, arguments: tuple[Any, ...]) -> int:
        with self._lock:
            self.calls[name] += 1
            failure = self._failures.get(name)
            if failure:
                code, after, times = failure
                if after:
                    failure[1] = after - 1
                elif times is None or times > 0:
                    failure[2] = None if times is None else times - 1
                    return code
            try:
                self._check_ready(name)
                getattr(self, f"_{name}")(*arguments)
            except FailedError as failed:
                return failed.code
        return 0

    def _check_ready(self, name: str) -> None:
        if not self._ready and name not in _EARLY:
            raise FailedError(NOT_INITIALIZED)
        if name not in _NO_CONTEXT and not name.startswith("cuDevice") and not self._context():
            raise FailedError(INVALID_CONTEXT)
        if name in _ALLOCATES:
            for stream in self._streams.values():
                stream.broken |= stream.capture is not None and not stream.relaxed

    def _context(self) -> int:
        handle = getattr(self._current, "handle", 0)
        return handle if handle and self._retained[handle] else 0

    def _stream(self, handle: int) -> Stream:
        if handle not in self._streams:
            raise FailedError(INVALID_HANDLE)
        return self._streams[handle]

    @staticmethod
    def _within(blocks: dict[int, Any], address: int, size: int) -> bool:
        return any(
            start <= address and address + size <= start + len(block)
            for start, block in list(blocks.items())
        )

    def _block(self, blocks: dict[int, Any], size: int) -> int:
        if size == 0:
            raise FailedError(INVALID_VALUE)
        if size > self.free:
            raise FailedError(OUT_OF_MEMORY)
        whole = (ctypes.c_ubyte * (size + _ALIGNED))()
        offset = -ctypes.addressof(whole) % _ALIGNED
        block = (ctypes.c_ubyte * size).from_buffer(whole, offset)
        address = ctypes.addressof(block)
        ctypes.memset(address, _GARBAGE, size)
        blocks[address] = block
        self.free -= size
        return address

    def _release(self, blocks: dict[int, Any], address: int) -> None:
        if address not in blocks:
            raise FailedError(INVALID_VALUE)
        for stream in self._streams.values():
            self._finish(stream)  # as the driver does before it frees
        self.free += len(blocks.pop(address))

    @staticmethod
    def _finish(stream: Stream) -> None:
        while stream.waiting:
            stream.waiting.pop(0)()

    def _device_number(self, device: int) -> None:
        if not 0 <= device < self.devices:
            raise FailedError(INVALID_DEVICE)

    def _copy(self, to: int, source: int, size: int, device: int) -> Callable[[], None]:
        if not self._within(self._device, device, size):
            raise FailedError(INVALID_VALUE)

        def work() -> None:
            if not self._within(self._device, device, size):
                raise FailedError(ILLEGAL_ADDRESS)  # freed meanwhile
            ctypes.memmove(to, source, size)

        return work

    # the driver's functions; a list is what a pointer points to

    def _cuInit(self, flags: int) -> None:
        if flags:
            raise FailedError(INVALID_VALUE)
        if not self.devices:
            raise FailedError(NO_DEVICE)
        self._ready = True

    def _cuDriverGetVersion(self, out: Any) -> None:
        out.value = self.driver

    def _cuGetErrorName(self, code: int, out: Any) -> None:
        if code not in NAMES:
            raise FailedError(INVALID_VALUE)
        text = self._texts[list(NAMES).index(code)]
        ctypes.c_void_p.from_address(ctypes.addressof(out)).value = ctypes.addressof(text)

    _cuGetErrorString = _cuGetErrorName

    def _cuDeviceGetCount(self, out: Any) -> None:
        out.value = self.devices

    def _cuDeviceGet(self, out: Any, ordinal: int) -> None:
        self._device_number(ordinal)
        out.value = ordinal

    def _cuDeviceGetName(self, buffer: Any, size: int, device: int) -> None:
        self._device_number(device)
        ctypes.memmove(
            buffer, self.name.encode()[: size - 1] + b"\0", min(len(self.name), size) + 1
        )

    def _cuDeviceGetAttribute(self, out: Any, which: int, device: int) -> None:
        self._device_number(device)
        out.value = int(self.attributes.get(which, 0))

    def _cuDeviceTotalMem_v2(self, out: Any, device: int) -> None:
        self._device_number(device)
        out.value = self.total

    def _cuDeviceGetUuid(self, buffer: Any, device: int) -> None:
        self._device_number(device)
        ctypes.memmove(buffer, bytes(range(device, device + 16)), 16)

    _cuDeviceGetUuid_v2 = _cuDeviceGetUuid

    def _cuDevicePrimaryCtxSetFlags_v2(self, device: int, flags: int) -> None:
        self._device_number(device)
        self.flags = flags

    def _cuDevicePrimaryCtxRetain(self, out: Any, device: int) -> None:
        self._device_number(device)
        out.value = 0x7E00_0000_0010 + 16 * device
        self._retained[out.value] += 1

    def _cuDevicePrimaryCtxRelease_v2(self, device: int) -> None:
        handle = 0x7E00_0000_0010 + 16 * device
        if not self._retained[handle]:
            raise FailedError(INVALID_CONTEXT)
        self._retained[handle] -= 1

    def _cuCtxSetCurrent(self, handle: int) -> None:
        if handle and not self._retained[handle]:
            raise FailedError(INVALID_CONTEXT)
        self._current.handle = handle

    def _cuCtxGetCurrent(self, out: Any) -> None:
        out.value = self._context() or None

    def _cuCtxSynchronize(self) -> None:
        for stream in self._streams.values():
            self._finish(stream)

    def _cuMemGetInfo_v2(self, free: Any, total: Any) -> None:
        if not self._context():
            raise FailedError(INVALID_CONTEXT)
        free.value, total.value = self.free, self.total

    def _cuMemAlloc_v2(self, out: Any, size: int) -> None:
        out.value = self._block(self._device, size)

    def _cuMemFree_v2(self, address: int) -> None:
        self._release(self._device, address)

    def _cuMemHostAlloc(self, out: Any, size: int, flags: int) -> None:
        out.value = self._block(self._host, size)
        if flags & MAPPED:
            self._mapped.add(out.value)

    def _cuMemHostGetDevicePointer_v2(self, out: Any, address: int, flags: int) -> None:
        if flags or address not in self._mapped:
            raise FailedError(INVALID_VALUE)
        out.value = address

    def _cuMemFreeHost(self, address: int) -> None:
        self._release(self._host, address)
        self._mapped.discard(address)

    def _cuMemcpyHtoD_v2(self, to: int, source: int, size: int) -> None:
        self._copy(to, source, size, to)()

    def _cuMemcpyDtoH_v2(self, to: int, source: int, size: int) -> None:
        self._copy(to, source, size, source)()

    def _cuMemcpyHtoDAsync_v2(self, to: int, source: int, size: int, stream: int) -> None:
        self.enqueue(stream, self._copy(to, source, size, to))

    def _cuMemcpyDtoHAsync_v2(self, to: int, source: int, size: int, stream: int) -> None:
        self.enqueue(stream, self._copy(to, source, size, source))

    def _cuStreamCreate(self, out: Any, flags: int) -> None:
        out.value = next(self._handles)
        self._streams[out.value] = Stream()

    def _cuStreamSynchronize(self, handle: int) -> None:
        stream = self._stream(handle)
        if stream.capture is not None:
            stream.broken = True
            raise FailedError(CAPTURE_UNSUPPORTED)
        self._finish(stream)

    def _cuStreamDestroy_v2(self, handle: int) -> None:
        self._finish(self._stream(handle))
        del self._streams[handle]

    def _cuStreamBeginCapture_v2(self, handle: int, mode: int) -> None:
        stream = self._stream(handle)
        if stream.capture is not None or mode not in (0, 1, 2):
            raise FailedError(INVALID_VALUE)
        stream.capture, stream.broken, stream.relaxed = [], False, mode == _RELAXED

    def _cuStreamEndCapture(self, handle: int, out: Any) -> None:
        stream = self._stream(handle)
        if stream.capture is None:
            raise FailedError(INVALID_VALUE)
        captured, stream.capture = stream.capture, None
        if stream.broken:
            out.value = None
            raise FailedError(CAPTURE_INVALIDATED)
        out.value = next(self._handles)
        self._graphs[out.value] = captured

    def _cuGraphInstantiateWithFlags(self, out: Any, graph: int, flags: int) -> None:
        if graph not in self._graphs:
            raise FailedError(INVALID_VALUE)
        out.value = next(self._handles)
        self._launchable[out.value] = list(self._graphs[graph])

    def _cuGraphLaunch(self, handle: int, stream: int) -> None:
        if handle not in self._launchable:
            raise FailedError(INVALID_VALUE)
        for work in self._launchable[handle]:
            self.enqueue(stream, work)

    def _cuGraphDestroy(self, handle: int) -> None:
        if self._graphs.pop(handle, None) is None:
            raise FailedError(INVALID_VALUE)

    def _cuGraphExecDestroy(self, handle: int) -> None:
        if self._launchable.pop(handle, None) is None:
            raise FailedError(INVALID_VALUE)


class Function:
    """One function of the library; takes what ctypes would, and as ctypes would pass it."""

    def __init__(self, driver: FakeCuda, name: str) -> None:
        self._driver, self.__name__ = driver, name
        self.argtypes: Any = None
        self.restype: Any = ctypes.c_int

    def __call__(self, *arguments: Any) -> int:
        kinds = SIGNATURES[self.__name__]
        if len(arguments) != len(kinds):
            raise TypeError(f"{self.__name__} takes {len(kinds)} arguments, got {len(arguments)}")
        if self.argtypes is not None:
            for kind, argument in zip(self.argtypes, arguments, strict=True):
                kind.from_param(argument)
        pairs = zip(kinds, arguments, strict=True)
        given = tuple(self._taken(i, kind, argument) for i, (kind, argument) in enumerate(pairs, 1))
        return self._driver.answer(self.__name__, given)

    def _taken(self, number: int, kind: str, argument: Any) -> Any:
        what = f"{self.__name__}, argument {number}"
        if kind == "s":
            if not isinstance(getattr(argument, "_obj", argument), ctypes.Array | ctypes.Structure):
                raise TypeError(f"{what}: {argument!r} is no buffer")
            return getattr(argument, "_obj", argument)
        if kind in _SIZES:
            target = argument._obj if hasattr(argument, "_obj") else _pointed(argument)
            if target is None or ctypes.sizeof(target) != _SIZES[kind]:
                raise TypeError(f"{what}: {argument!r} does not point to {8 * _SIZES[kind]} bits")
            return target
        if isinstance(argument, ctypes.Array):
            return ctypes.addressof(argument)
        if isinstance(argument, int):
            if kind == "q" and self.argtypes is None:
                raise TypeError(f"{what} has 64 bits, of which ctypes passes 32 of a bare int")
            return argument
        if kind == "q" and argument is not None and ctypes.sizeof(argument) != 8:
            raise TypeError(f"{what} has 64 bits, {argument!r} has not")
        return (None if argument is None else argument.value) or 0


def _pointed(argument: Any) -> Any:
    return argument.contents if isinstance(argument, ctypes._Pointer) else None
