"""What systemd is told: that the run is ready, how it is doing, and that it moves."""

from __future__ import annotations

import os
import socket
import threading
import time

from edgeresnet.core.secrets import redact

_LONGEST = 2000
"""Bytes of a status; systemd throws away a message of more than a page."""


class Notifier:
    """Speaks to ``$NOTIFY_SOCKET``; does nothing where there is none, and never raises."""

    def __init__(self) -> None:
        path = os.environ.get("NOTIFY_SOCKET", "")
        known = hasattr(socket, "AF_UNIX") and path[:1] in ("/", "@")
        self._address = ("\0" + path[1:] if path[:1] == "@" else path) if known else ""
        self._every_s = _watchdog_s() / 2
        self._pinged = float("-inf")
        self._done: int | None = None
        self._lock = threading.Lock()

    def ready(self) -> None:
        """The engine is loaded and proved, or the configuration was read again."""
        self._tell("READY=1")

    def reloading(self) -> None:
        """The configuration is read again; :meth:`ready` ends this."""
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The run comes to its end, and the process with it."""
        self._tell("STOPPING=1")

    def status(self, text: str) -> None:
        """One line for ``systemctl status``."""
        line = " ".join(redact(text).split()).encode("utf-8", "replace")[:_LONGEST]
        self._tell(f"STATUS={line.decode('utf-8', 'ignore')}")

    def progress(self, done: int, *, waiting: bool) -> None:
        """Feed the watchdog, unless frames are waiting and none was done since last time."""
        now = time.monotonic()
        with self._lock:
            if not self._every_s or now - self._pinged < self._every_s:
                return
            if waiting and done == self._done:
                return
            if self._tell("WATCHDOG=1"):
                self._pinged, self._done = now, done

    def _tell(self, text: str) -> bool:
        """Whether it was sent. Nobody is waited for: a run does not hang because systemd does."""
        if not self._address:
            return False
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as link:
                link.setblocking(False)
                link.sendto(text.encode("utf-8", "replace"), self._address)
        except (OSError, ValueError):
            return False
        return True


def _watchdog_s() -> float:
    """How soon the watchdog bites; 0 when there is none, or it is another process's."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0.0
    try:
        return max(0, int(os.environ.get("WATCHDOG_USEC", "0"))) / 1e6
    except ValueError:
        return 0.0
