"""Hand the newest frame of each live source to whoever takes it, the sources in turn."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

T = TypeVar("T")
_STOP_CHECK_S = 0.1


class Mailboxes(Generic[T]):
    """Boxes with room for one item each. Putting a second into one replaces the first.

    A live view wants the newest frame, not every frame: a queue would only add its length to the
    latency.
    """

    def __init__(self, count: int) -> None:
        self._changed = threading.Condition()
        self._items: list[T | None] = [None] * count
        self._open = [True] * count
        self._turn = 0

    def put(self, box: int, item: T) -> T | None:
        """Leave ``item``; returns the one it replaced, or None. Never blocks."""
        with self._changed:
            replaced, self._items[box] = self._items[box], item
            self._changed.notify()
        return replaced

    def close(self, box: int) -> None:
        """No more items will come into it; what is left can still be taken."""
        with self._changed:
            self._open[box] = False
            self._changed.notify_all()

    def take(self, *ends: threading.Event, wait: bool = True) -> T | None:
        """The item of the next box that has one, as soon as one does; boxes take turns.

        None when all are closed and empty, when an end is set, or without ``wait`` when there is
        nothing now.
        """
        with self._changed:
            while wait and not self._ready() and not any(end.is_set() for end in ends):
                self._changed.wait(_STOP_CHECK_S)
            for step in range(len(self._items)):
                box = (self._turn + step) % len(self._items)
                item, self._items[box] = self._items[box], None
                if item is not None:
                    self._turn = box + 1
                    return item
            return None

    def _ready(self) -> bool:
        return any(item is not None for item in self._items) or not any(self._open)
