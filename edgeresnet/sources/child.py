"""The capture child: ``python -m edgeresnet.sources.child DESCRIPTOR``.

It connects when told, decodes into the ring, and says what went wrong; everything that can hang
or crash happens here. What to open comes over the socket, so no address or password is in the
list of processes. It imports as little as it can: it is started anew after each hang.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import sys
import time
from contextlib import closing
from importlib import import_module

import numpy as np

from edgeresnet.core.errors import EdgeError
from edgeresnet.core.secrets import Secret, redact
from edgeresnet.sources.fault import Fault
from edgeresnet.sources.grab import GRABBERS, Ended, Grab, Opened, Order, Said
from edgeresnet.sources.ring import CONNECT, Writer
from edgeresnet.sources.shots import Lost

_PR_SET_PDEATHSIG = 1
_LARGEST_ORDER = 64 << 10
_LONGEST = 1000


def end_with(parent: int) -> None:
    """Have the kernel kill this process when its parent dies, or end now if that has happened."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit(0)


def serve(link: socket.socket) -> None:
    """Take the order, then connect each time we are told, until the other end is closed."""
    told = json.loads(link.recv(_LARGEST_ORDER) or b"null")
    if told is None:
        return
    order = Order(**{**told, "secret": Secret(told["secret"]) if told["secret"] else None})
    writer = Writer(link)
    while True:
        message = link.recv(_LARGEST_ORDER)
        if not message:
            return
        if message == CONNECT:
            _connect(order, writer)
        else:
            writer.take_back(message)


def _connect(order: Order, writer: Writer) -> None:
    """Give frames until the source ends or fails; how is the last message."""
    try:
        connect = import_module(GRABBERS[order.kind]).connect
        with closing(connect(order)) as shots:
            for shot in shots:
                _pass_on(shot, writer)
                if isinstance(shot, Ended):
                    return
        fault = Fault("closed", "the stream ended")
    except Fault as error:
        fault = error
    except EdgeError as error:
        fault = Fault("error", error.what, hint=error.hint)
    except BrokenPipeError:
        raise SystemExit(0) from None
    except Exception as error:  # noqa: BLE001  said to the other end, which lives on
        fault = Fault("error", f"{type(error).__name__}: {error}")
    writer.say(fault=fault.reason, what=_plain(fault.what), hint=_plain(fault.hint))


def _pass_on(shot: Grab, writer: Writer) -> None:
    """One thing that the source gave, over the socket."""
    if isinstance(shot, Opened):
        writer.say(opened=True, fps=shot.fps)
    elif isinstance(shot, Lost):
        writer.say(lost=shot.reason, what=_plain(shot.what))
    elif isinstance(shot, Said):
        writer.say(said=_plain(shot.what))
    elif isinstance(shot, Ended):
        writer.say(ended=True)
    elif (place := writer.slot(shot.pixels.shape)) is None:
        writer.say(lost="overrun", what="")
    else:
        number, pixels = place
        np.copyto(pixels, shot.pixels)
        writer.send(number, shot.captured_ns or time.monotonic_ns())


def _plain(text: str) -> str:
    return redact(text)[:_LONGEST]


def main() -> None:
    """Serve the socket whose descriptor and whose owner's process id are the arguments."""
    end_with(int(sys.argv[2]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other end decides when we go
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # in order, where there is time for it
    with socket.socket(fileno=int(sys.argv[1])) as link:
        try:
            serve(link)
        except ConnectionError:
            return


if __name__ == "__main__":
    main()
