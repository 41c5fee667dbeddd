"""A web server on this machine whose streams break in every way a camera's do.

``with Site() as site: site.answer = mjpeg(pictures, then=hang)``. An answer is called with the
:class:`Caller` for each request; it may be changed at any time, for the next request.
"""

import base64
import itertools
import re
import socket
import struct
import threading
import time
from contextlib import suppress

_TURN_S = 0.02
_HEAD_LIMIT = 65536


class Left(Exception):  # noqa: N818  not an error of ours
    """The client is gone, or the site is closing."""


class Caller:
    """A client and what it asked for."""

    def __init__(self, connection, site):
        self._connection, self._site = connection, site
        self.head = ""

    @property
    def path(self):
        return self.head.split(" ")[1] if self.head.count(" ") > 1 else ""

    @property
    def credentials(self):
        """``user:password``, when it gave them in the basic way."""
        for line in self.head.splitlines():
            name, _, value = line.partition(":")
            if name.lower() == "authorization" and value.strip().startswith("Basic "):
                return base64.b64decode(value.strip()[6:]).decode()
        return ""

    def receive_head(self):
        data = b""
        while b"\r\n\r\n" not in data and len(data) < _HEAD_LIMIT:
            more = self._connection.recv(4096)
            if not more:
                raise Left
            data += more
        self.head = data.decode("latin-1")

    def send(self, data):
        if self._site.closing.is_set():
            raise Left
        self._connection.sendall(data)

    def wait(self, seconds):
        """Do nothing for a while, with the connection open; ends when the client has left."""
        end = time.monotonic() + seconds
        while (left_s := end - time.monotonic()) > 0:
            if self._site.closing.wait(min(left_s, _TURN_S)):
                raise Left
            with suppress(BlockingIOError):
                if not self._connection.recv(4096, socket.MSG_DONTWAIT):
                    raise Left

    def reset(self):
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._connection.close()
        raise Left


class Site:
    """The server. ``requests`` counts what it was asked; ``credentials``: what it was shown."""

    def __init__(self, answer=None):
        self.answer = answer or status(404)
        self.closing = threading.Event()
        self.requests, self.credentials = 0, set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._listener.settimeout(_TURN_S)
        self.port = self._listener.getsockname()[1]
        self._threads = []
        self._acceptor = threading.Thread(target=self._accept, daemon=True)

    def url(self, path="/cam"):
        return f"http://127.0.0.1:{self.port}{path}"

    def __enter__(self):
        self._acceptor.start()
        return self

    def __exit__(self, *_):
        self.closing.set()
        self._acceptor.join()
        self._listener.close()
        for thread, connection in self._threads:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            thread.join()

    def _accept(self):
        while not self.closing.is_set():
            try:
                connection = self._listener.accept()[0]
            except TimeoutError:
                continue
            connection.settimeout(None)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            alive = [(one, its) for one, its in self._threads if one.is_alive()]
            self._threads = [*alive, (thread, connection)]
            thread.start()

    def _serve(self, connection):
        caller = Caller(connection, self)
        with connection, suppress(OSError, Left):
            caller.receive_head()
            self.requests += 1
            self.credentials.add(caller.credentials)
            self.answer(caller)


# what comes after the last frame


def close(_caller):
    """The stream ends."""


def hang(caller):
    """Nothing more comes, and the connection stays open."""
    caller.wait(3600)


def cut(caller):
    """The connection is reset."""
    caller.wait(0.004)  # what was sent has arrived: a reset throws away what has not
    caller.reset()


def drip(caller, every_s=0.5):
    """A byte of a picture that never gets whole, twice a second."""
    caller.send(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: 100000\r\n\r\n\xff\xd8")
    while True:
        caller.wait(every_s)
        caller.send(b"\x55")


# answers


def silent(caller):
    """Accepts, and never says a word."""
    caller.wait(3600)


def says(data):
    """These very bytes, then the end: for other protocols, and for nonsense."""
    return lambda caller: caller.send(data)


def status(code, *fields):
    """Nothing but a status."""
    lines = (f"HTTP/1.1 {code} No", "Content-Length: 0", "Connection: close", *fields, "", "")
    return says("\r\n".join(lines).encode())


def circle(caller):
    """A redirect to here."""
    status(302, f"Location: {caller.path}")(caller)


def guarded(user, password, answer):
    """Basic authentication before ``answer``."""

    def answer_or_ask(caller):
        known = caller.credentials == f"{user}:{password}"
        (answer if known else status(401, 'WWW-Authenticate: Basic realm="cam"'))(caller)

    return answer_or_ask


def in_turn(*answers):
    """One answer after the other, the last for ever."""
    left = iter(answers)
    lock, now = threading.Lock(), [None]

    def answer(caller):
        with lock:
            chosen = now[0] = next(left, now[0])
        chosen(caller)

    return answer


def mjpeg(jpegs, fps=25.0, then=hang):
    """One JPEG after the other at ``fps``, then ``then``. ``itertools.cycle`` makes it endless."""

    def answer(caller):
        caller.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n"
        )
        for data in jpegs:
            length = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
            caller.send(length % len(data) + data + b"\r\n")
            caller.wait(1 / fps)
        then(caller)

    return answer


def endless(jpegs, fps=25.0):
    """The same pictures again and again."""
    kept = list(jpegs)

    def answer(caller):
        mjpeg(itertools.cycle(kept), fps)(caller)

    return answer


def stream(data, seconds, *, kind="video/mp2t", then=close):
    """A film without a length, sent evenly within ``seconds``: what a live encoder does."""

    def answer(caller):
        caller.send(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n\r\n".encode())
        step = max(1, round(len(data) * 0.04 / seconds)) if seconds else len(data)
        for at in range(0, len(data), step):
            caller.send(data[at : at + step])
            caller.wait(0.04 if seconds else 0)
        then(caller)

    return answer


def file(data, kind="video/mp2t"):
    """A film with a length, as a file is served: from wherever the client wants it."""

    def answer(caller):
        start = re.search(r"(?i)\r\nrange: bytes=(\d+)-", caller.head)
        begin = int(start[1]) if start else 0
        lines = (
            "HTTP/1.1 206 Partial" if start else "HTTP/1.1 200 OK",
            f"Content-Type: {kind}",
            "Accept-Ranges: bytes",
            f"Content-Length: {len(data) - begin}",
            "Connection: close",
            *([f"Content-Range: bytes {begin}-{len(data) - 1}/{len(data)}"] if start else []),
        )
        caller.send("\r\n".join((*lines, "", "")).encode() + data[begin:])

    return answer
