"""The capture child as its parent has it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from edgeresnet.core.secrets import redact
from edgeresnet.sources.grab import Order
from edgeresnet.sources.ring import CONNECT, Reader

_DIES_S, _ENDS_S, _LETS_GO_S = 5.0, 0.5, 1.5
_KEPT = 2000
_START = """
import sys
sys.path = [place for place in sys.path if place] + sys.argv[3:]
from edgeresnet.sources.child import main
main()
"""
"""The folder that the user is in is no place to import from: what lies there is not ours."""


class Child:
    """A process of its own session, started at once; it waits for :meth:`connect`.

    Raises OSError when the system has no room for one.
    """

    def __init__(self, order: Order) -> None:
        self.link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        said, says = os.pipe()
        try:
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603  this interpreter, our module
                    (
                        sys.executable,
                        "-c",
                        _START,
                        str(theirs.fileno()),
                        str(os.getpid()),
                        str(Path(__file__).parents[2]),
                    ),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=says,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                )
        except BaseException:
            self.link.close()
            os.close(said)
            raise
        finally:
            os.close(says)
        os.set_blocking(said, False)
        self._said, self._words = said, b""
        self.ring = Reader(self.link)
        self.pid = self._process.pid
        self._lets_go = order.kind == "gst"
        told = asdict(order)
        told["secret"] = order.secret.reveal() if order.secret is not None else ""
        with suppress(OSError):  # it is gone already: the first message says so
            self.link.send(json.dumps(told).encode())

    def connect(self) -> None:
        """Tell it to connect; OSError when it is gone."""
        self.link.send(CONNECT)

    def attend(self) -> None:
        """Give slots back and read what it prints, so that neither fills up."""
        with suppress(OSError):  # it is gone: the next message says so
            self.ring.give_back()
        with suppress(BlockingIOError):
            while said := os.read(self._said, 65536):
                self._words = (self._words + said)[-_KEPT:]

    def how_it_ends(self) -> str:
        """Its last words and its exit status; it has closed its end, and may still be ending."""
        try:
            code: int | None = self._process.wait(_ENDS_S)
        except subprocess.TimeoutExpired:
            code = None
        self.attend()
        words = self._words.decode("utf-8", "replace").strip().rpartition("\n")[2]
        if code is None:
            ended = "it closed its socket"
        elif code < 0:
            ended = f"signal {signal.Signals(-code).name}"
        else:
            ended = f"exit {code}"
        return redact(f"{ended}: {words}" if words else ended)

    def end(self) -> None:
        """End it and whatever it started, whatever it is doing; GStreamer may close its camera."""
        if self._lets_go:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_LETS_GO_S)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.kill()

    def kill(self) -> None:
        """End it and close our end."""
        self.end()
        with suppress(subprocess.TimeoutExpired):  # stuck in the kernel: a driver holds it
            self._process.wait(_DIES_S)
        self.link.close()
        said, self._said = self._said, -1
        if said >= 0:
            os.close(said)
