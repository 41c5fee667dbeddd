"""Hand the newest frame from the capture thread to whoever takes it."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

T = TypeVar("T")
_STOP_CHECK_S = 0.1


class Mailbox(Generic[T]):
    """Room for one item. Putting a second replaces the first.

    A live view wants the newest frame, not every frame: a queue would only add its length to the
    latency.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._item: T | None = None
        self._closed = False

    def put(self, item: T) -> T | None:
        """Leave ``item``; returns the one it replaced, or None. Never blocks."""
        with self._changed:
            replaced, self._item = self._item, item
            self._changed.notify()
        return replaced

    def close(self) -> None:
        """No more items will come; what is left can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def take(self, *ends: threading.Event) -> T | None:
        """The item, as soon as there is one; None when closed and empty, or an end is set."""
        with self._changed:
            while self._item is None and not self._closed and not any(e.is_set() for e in ends):
                self._changed.wait(_STOP_CHECK_S)
            item, self._item = self._item, None
            return item
