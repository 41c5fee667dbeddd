"""A TCP proxy on this machine that spoils what goes through it, in a way that can be switched."""

import select
import socket
import struct
import threading
import time
from contextlib import suppress

MODES = ("pass", "hole", "drip", "delay", "refuse")
_TURN_S, _FREE_S = 0.02, 5
_RESET = struct.pack("ii", 1, 0)  # linger for 0 s: closing sends RST, not FIN


def reset(connection):
    """Close so that the other end sees "connection reset by peer"."""
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    connection.close()


class Proxy:
    """Stands before ``port``. ``mode`` may be set at any time and holds for what is open too.

    ``pass``; ``hole``: connections stay open and nothing goes either way; ``drip``: one byte
    every ``every_s`` to the client; ``delay``: everything ``delay_s`` later; ``refuse``: nobody
    listens, while what is open stays. :meth:`reset` resets what is open; ``reset_after`` so many
    bytes to the client does that to every connection.
    """

    def __init__(self, port):
        self.target = ("127.0.0.1", port)
        self.every_s, self.delay_s, self.reset_after = 0.5, 0.5, None
        self.accepted = self.resets = self.forwarded = 0
        self._mode = "pass"
        self._pairs = []
        self._open = True
        self._lock = threading.Lock()
        self._threads = []
        self._listener = self._bound(0)
        self.port = self._listener.getsockname()[1]
        self._listener.listen(64)

    @staticmethod
    def _bound(port):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        end = time.monotonic() + _FREE_S
        while True:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:  # another thread's select still has the one before
                if time.monotonic() > end:
                    listener.close()
                    raise
                time.sleep(_TURN_S)
            else:
                return listener

    @property
    def mode(self):
        return self._mode

    @mode.setter
    def mode(self, mode):
        assert mode in MODES
        with self._lock:
            if "refuse" in (mode, self._mode) and mode != self._mode:
                self._listener.close()
                self._listener = self._bound(self.port)  # bound, so that nobody else takes it
                if mode != "refuse":
                    self._listener.listen(64)
            self._mode = mode

    def reset(self):
        """Reset every open connection, at both ends."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
            for pair in pairs:
                self.resets += 1
                for end in pair:
                    reset(end)

    def __enter__(self):
        self._start(self._accept)
        return self

    def __exit__(self, *_):
        self._open = False
        for thread in list(self._threads):
            thread.join()
        self._listener.close()

    def _start(self, work, *arguments):
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads = [one for one in self._threads if one.is_alive()] + [thread]
        thread.start()

    def _accept(self):
        while self._open:
            with self._lock:
                listener, refuses = self._listener, self._mode == "refuse"
            try:
                if refuses or not select.select([listener], [], [], _TURN_S)[0]:
                    time.sleep(_TURN_S if refuses else 0)
                    continue
                client = listener.accept()[0]
            except (OSError, ValueError):  # closed by a change of mode
                continue
            self.accepted += 1
            try:
                server = socket.create_connection(self.target)
            except OSError:
                reset(client)
                continue
            with self._lock:
                self._pairs.append((client, server))
            self._start(self._pump, client, server)

    def _pump(self, client, server):
        sent = 0
        try:
            while self._open and client.fileno() >= 0:
                if self._mode == "hole":
                    time.sleep(_TURN_S)
                    continue
                for end in select.select([client, server], [], [], _TURN_S)[0]:
                    dripping = end is server and self._mode == "drip"
                    data = end.recv(1 if dripping else 65536)
                    if not data:
                        return
                    time.sleep(self.delay_s if self._mode == "delay" else 0)
                    (client if end is server else server).sendall(data)
                    if end is server:
                        sent += len(data)
                        self.forwarded += len(data)
                    if dripping:
                        time.sleep(self.every_s)
                if self.reset_after is not None and sent >= self.reset_after:
                    self.resets += 1
                    reset(client)
                    return
        except (OSError, ValueError):
            pass
        finally:
            with self._lock:
                if (client, server) in self._pairs:
                    self._pairs.remove((client, server))
            client.close()
            server.close()
