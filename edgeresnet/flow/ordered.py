"""Work done by several threads, results in order, nothing run ahead without bound."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def ordered(
    workers: Sequence[Callable[[T], R]],
    items: Iterator[T],
    *,
    ahead: int | None = None,
    leave: Callable[[], None] = lambda: None,
) -> Generator[R]:
    """Apply ``workers`` to ``items``, each worker on a thread of its own; results in item order.

    A worker takes its next item itself, so taking (decoding a frame, say) happens on the thread
    that goes on with it, one at a time: no queue, no hand-over, and no thread more than there is
    work for. ``ahead`` bounds the items taken but not yet consumed, by default twice the workers.
    What an item or a worker raises is raised here, after the results before it. Closing the
    iterator ends the threads after their current item; ``leave`` is called first, and must end the
    wait of one that is taking an item which may never come.
    """
    if not workers:
        raise ValueError("nobody to do the work")
    state = _State(items, ahead or 2 * len(workers))
    threads = [
        threading.Thread(target=state.work, args=(worker,), name=f"worker-{n}", daemon=True)
        for n, worker in enumerate(workers)
    ]
    for thread in threads:
        thread.start()
    try:
        yield from state.results()
    finally:
        leave()
        state.stop()
        for thread in threads:
            thread.join()


class _State:
    """What the threads of one :func:`ordered` share."""

    def __init__(self, items: Iterator[object], ahead: int) -> None:
        self._items, self._ahead = items, ahead
        self._taking = threading.Lock()
        self._changed = threading.Condition()
        self._done: dict[int, tuple[object, BaseException | None]] = {}
        self._taken = self._emitted = 0
        self._end: int | None = None

    def work(self, worker: Callable[[object], object]) -> None:
        while True:
            with self._taking:
                if not self._may_take():
                    return None
                number = self._taken
                try:
                    item = next(self._items)
                except StopIteration:
                    return self._finish(number)
                except BaseException as error:  # noqa: BLE001  raised again by the consumer
                    self._put(number, None, error)
                    return self._finish(number + 1)
                self._taken += 1
            try:
                self._put(number, worker(item), None)
            except BaseException as error:  # noqa: BLE001  raised again by the consumer
                self._put(number, None, error)
                self.stop()
                return None

    def _may_take(self) -> bool:
        with self._changed:
            self._changed.wait_for(
                lambda: self._end is not None or self._taken - self._emitted < self._ahead
            )
            return self._end is None

    def _put(self, number: int, result: object, error: BaseException | None) -> None:
        with self._changed:
            self._done[number] = (result, error)
            self._changed.notify_all()

    def _finish(self, end: int) -> None:
        with self._changed:
            self._end = end if self._end is None else min(end, self._end)
            self._changed.notify_all()

    def stop(self) -> None:
        self._finish(self._taken)

    def results(self) -> Iterator[R]:
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: (
                        self._emitted in self._done
                        or (self._end is not None and self._emitted >= self._end)
                    )
                )
                if self._emitted not in self._done:
                    return
                result, error = self._done.pop(self._emitted)
                self._emitted += 1
                self._changed.notify_all()
            if error is not None:
                raise error
            yield result  # type: ignore[misc]
