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

from edgeresnet.sources.grab import Order
from edgeresnet.sources.ring import CONNECT, Reader

_DIES_S = 5.0


class Child:
    """A process of its own session, started at once; it waits for :meth:`connect`."""

    def __init__(self, order: Order) -> None:
        self.link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                self._process = subprocess.Popen(  # noqa: S603  this interpreter, our module
                    (
                        sys.executable,
                        "-m",
                        "edgeresnet.sources.child",
                        str(theirs.fileno()),
                        str(os.getpid()),
                    ),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,  # libraries print addresses with passwords
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                )
            except BaseException:
                self.link.close()
                raise
        self.ring = Reader(self.link)
        self.pid = self._process.pid
        told = asdict(order)
        told["secret"] = order.secret.reveal() if order.secret is not None else ""
        self.link.send(json.dumps(told).encode())

    def connect(self) -> None:
        """Tell it to connect; OSError when it is gone."""
        self.link.send(CONNECT)

    def kill(self) -> None:
        """End it and whatever it started, at once, whatever it is doing."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.kill()
        with suppress(subprocess.TimeoutExpired):  # stuck in the kernel: a driver holds it
            self._process.wait(_DIES_S)
        self.link.close()

    def how_it_ended(self) -> str:
        """Its exit status in words; it has ended."""
        code = self._process.poll()
        if code is None:
            return "it closed its socket"
        if code < 0:
            return f"signal {signal.Signals(-code).name}"
        return f"exit {code}"
