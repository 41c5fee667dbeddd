"""Frames from the capture child to us through shared memory, one copy in all.

The child makes an anonymous shared file of :data:`SLOTS` frames and passes its descriptor over the
socket that joins the two; each frame is then one small message that names its slot. A slot is
free again when nobody here refers to its pixels any more, however long that takes: the child
takes the slot that was freed last, so memory is touched only for as many frames as are held at
the same time. When all are held the child drops its frame and says so (``overrun``).
Nothing has a name in the file system, so nothing is left behind by whoever is killed.
"""

from __future__ import annotations

import json
import mmap
import os
import socket
import struct
import tempfile
import weakref
from collections import deque
from typing import Any

import numpy as np

from edgeresnet.core.tensors import Pixels

SLOTS = 16
CONNECT = b"O"
"""The message that tells a child to connect."""
_FRAME = struct.Struct("<cBqII")
"""Kind, slot, time of capture in ns, height, width."""
_LARGEST = 16 << 10
_LARGEST_FRAME = 16384 * 16384 * 3


def _anonymous_file() -> int:
    """Descriptor of an empty file in memory that has no name."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("edgeresnet-frames", os.MFD_CLOEXEC)
    # Pythons that were built for an old C library do not know the call
    folder = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108  unlinked at once
    with tempfile.TemporaryFile(dir=folder) as file:
        return os.dup(file.fileno())


class Writer:
    """The child's end."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._slots: list[Pixels] = []
        self._shape: tuple[int, ...] = ()
        self._generation = 0
        self._free: list[int] = []

    def say(self, **what: object) -> None:
        """Send a message other than a frame."""
        self._link.send(b"J" + json.dumps(what).encode())

    def slot(self, shape: tuple[int, ...]) -> tuple[int, Pixels] | None:
        """A free slot for a frame of ``shape``, to be written to; None when all are held."""
        self._listen()
        if shape != self._shape:
            self._make(shape)
        if not self._free:
            return None
        number = self._free.pop()
        return number, self._slots[number]

    def send(self, number: int, captured_ns: int) -> None:
        """The frame in slot ``number`` is whole."""
        height, width, _ = self._shape
        self._link.send(_FRAME.pack(b"F", number, captured_ns, height, width))

    def _listen(self) -> None:
        """Take in the slots that were given back. Nobody at the other end ends this process."""
        while True:
            try:
                message = self._link.recv(_LARGEST, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            if not message:
                raise SystemExit(0)
            self.take_back(message)

    def take_back(self, message: bytes) -> None:
        """Slots that were given back, if that is what the message says."""
        if message[:1] == b"R" and message[1] == self._generation:
            self._free += message[2:]

    def _make(self, shape: tuple[int, ...]) -> None:
        size = int(np.prod(shape))
        file = _anonymous_file()
        try:
            os.ftruncate(file, size * SLOTS)
            memory = mmap.mmap(file, size * SLOTS)
            self._generation = (self._generation + 1) % 256
            head = json.dumps({"shape": shape, "generation": self._generation})
            socket.send_fds(self._link, [b"M" + head.encode()], [file])
        finally:
            os.close(file)
        whole: Pixels = np.frombuffer(memory, np.uint8)
        self._slots = [whole[i * size : (i + 1) * size].reshape(shape) for i in range(SLOTS)]
        self._shape, self._free = shape, list(range(SLOTS))


class Reader:
    """Our end. Pixels that it gave stay valid after it is closed."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._memory: mmap.mmap | None = None
        self._size = self._generation = 0
        self._freed: deque[int] = deque()

    def receive(self) -> tuple[Pixels, int] | dict[str, Any] | None:
        """The next message: a frame with its time, what was said, or None for neither.

        Raises EOFError when the child is gone, ValueError when it talks nonsense.
        """
        message, files, _, _ = socket.recv_fds(self._link, _LARGEST, 1)
        try:
            if not message:
                raise EOFError
            kind = message[:1]
            if kind == b"M":
                self._map(json.loads(message[1:]), files)
                return None
            if kind == b"J":
                said: dict[str, Any] = json.loads(message[1:])
                return said
            _, slot, captured_ns, height, width = _FRAME.unpack(message)
            return self._view(slot, height, width), captured_ns
        except struct.error as error:
            raise ValueError("no message of a capture child") from error
        finally:
            for file in files:
                os.close(file)

    def give_back(self) -> None:
        """Tell the child which slots are free again."""
        freed = bytearray((ord("R"), self._generation))
        while self._freed:
            freed.append(self._freed.popleft())
        if len(freed) > 2:
            self._link.send(freed)

    def _map(self, head: dict[str, Any], files: list[int]) -> None:
        height, width, channels = map(int, head["shape"])
        size = height * width * channels
        if not files or channels != 3 or not 0 < size <= _LARGEST_FRAME:
            raise ValueError("a capture child offers memory of no size")
        if os.fstat(files[0]).st_size < size * SLOTS:
            raise ValueError("a capture child offers less memory than it says")
        self._memory = mmap.mmap(files[0], size * SLOTS)
        self._size, self._generation = size, int(head["generation"])
        self._freed = deque()  # frames of the ring before give their slots back to nobody

    def _view(self, slot: int, height: int, width: int) -> Pixels:
        if self._memory is None or slot >= SLOTS or height * width * 3 != self._size:
            raise ValueError("a capture child names a slot that is not there")
        flat: Pixels = np.frombuffer(self._memory, np.uint8, self._size, slot * self._size)
        # every view of the pixels refers to this one array, and to the memory through it
        weakref.finalize(flat, self._freed.append, slot).atexit = False
        return flat.reshape(height, width, 3)
