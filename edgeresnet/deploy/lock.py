"""One deploy of a name at a time, kept so by a lock on the other machine."""

from __future__ import annotations

import os
import re
import selectors
import shlex
import subprocess
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress

from edgeresnet.core.errors import DeviceError
from edgeresnet.deploy.ssh import Connection, quoted

_ANSWER, _ANSWERS_S = 16, 60.0
_BEAT_S = 5.0
_ENDS_S = 5.0
_HOLD = (
    "exec 2>/dev/null; case $1 in /*) ;; *) cd || exit 0 ;; esac; "
    'mkdir -p -- "$1" && cd -- "$1" || exit 0; command -v flock >/dev/null || exit 0; '
    'lock="./.$2.lock"; for turn in 1 2 3; do exec 9>>"$lock"; flock -n 9; '
    "case $? in 0) ;; 1) echo; echo @busy; exit 0 ;; *) exit 0 ;; esac; "
    '[ "$lock" -ef /dev/fd/9 ] && break; done; echo; echo @mine; if timeout 9 true; then '
    'while [ -n "$(timeout 60 dd bs=1 count=1)" ]; do :; done; else cat >/dev/null; fi; '
    'rm -f "$lock"'
)
"""Takes the lock and keeps it while bytes come, so that a connection that died does not keep it.

Whoever has it takes its file away, so that it counts only while it is the one that has the name.
One line, for shells that take no more in quotes.
"""


@contextmanager
def alone(connection: Connection, folder: str, name: str) -> Generator[None]:
    """Keep other deploys of ``name`` to ``folder`` there away, or raise if one has come first.

    Takes a session of the connection meanwhile. A machine that has no ``flock`` is trusted.
    """
    words = ["sh", "-c", shlex.quote(_HOLD), "sh", quoted(folder), quoted(name)]
    with connection.started(" ".join(words)) as process:
        assert process.stdin is not None
        if _answer(process) == "@busy":
            raise DeviceError(
                f"another deploy of {name} to {connection.host} is running",
                hint="once it has ended; one whose connection was lost ends within a minute",
            )
        over = threading.Event()
        beat = threading.Thread(
            target=_beat, args=(process.stdin.fileno(), over), name="deploy-lock", daemon=True
        )
        beat.start()
        try:
            yield
        finally:
            over.set()
            beat.join()
            process.stdin.close()
            with suppress(subprocess.TimeoutExpired):  # who comes next finds it free
                process.wait(_ENDS_S)


def check_sessions(connection: Connection) -> None:
    """Raise if no command can run beside the one that keeps a lock."""
    with connection.started("echo; echo @mine; exec cat") as process:
        _answer(process)
        connection.script("true", doing="a second command was begun")


def _answer(process: subprocess.Popen[bytes]) -> str:
    """What the lock's holder says first; nothing where it cannot hold one."""
    assert process.stdout is not None
    pipe, told, end = process.stdout.fileno(), b"", time.monotonic() + _ANSWERS_S
    with selectors.DefaultSelector() as waiting:
        waiting.register(pipe, selectors.EVENT_READ)
        while waiting.select(max(end - time.monotonic(), 0)) and (part := os.read(pipe, 1 << 12)):
            told = told[-_ANSWER:] + part
            if found := re.search(rb"\n(@mine|@busy)\n", told):
                return found[1].decode()
    return ""


def _beat(pipe: int, over: threading.Event) -> None:
    """Tell the other end that we are there; should it be gone, the deploy itself will say so."""
    while not over.wait(_BEAT_S):
        try:
            os.write(pipe, b".")
        except OSError:
            return
