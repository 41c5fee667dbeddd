"""A source and a sink without camera or network."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator

from edgeresnet.core.frames import Frame
from edgeresnet.core.predictions import Classification, Prediction
from edgeresnet.core.tensors import Pixels


class ListSource:
    """Gives what is in a list: pictures and frames as frames, exceptions raised, events waited for.

    It does not heed any ``stop``, as a driver would not. ``taken`` counts the items begun.
    """

    def __init__(
        self,
        items: Iterable[Pixels | Frame | BaseException | threading.Event],
        *,
        live: bool = False,
        name: str = "list",
    ) -> None:
        self.live, self.name = live, name
        self.dropped: dict[str, int] = {}
        self.fps: float | None = None
        self.taken, self.closed = 0, False
        self._items = items

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        for item in self._items:
            self.taken += 1
            if isinstance(item, BaseException):
                raise item
            if isinstance(item, threading.Event):
                item.wait()
            elif isinstance(item, Frame):
                yield item
            else:
                yield Frame(item, index, time.monotonic_ns(), self.name)
                index += 1

    def __enter__(self) -> ListSource:  # noqa: PYI034  Python 3.10 has no Self
        return self

    def __exit__(self, *_error: object) -> None:
        self.closed = True


class ListSink:
    """Keeps what it is given; raises ``error`` at item number ``fails_at``, counted from 0."""

    def __init__(self, *, fails_at: int | None = None, error: Exception | None = None) -> None:
        self.frames: list[Frame] = []
        self.predictions: list[Prediction] = []
        self.closed = False
        self._fails_at, self._error = fails_at, error or OSError("the sink failed")

    @property
    def class_ids(self) -> list[int]:
        """The best class of each classification, in the order they came."""
        return [p.best.class_id for p in self.predictions if isinstance(p, Classification)]

    def put(self, frame: Frame, prediction: Prediction) -> None:
        """Keep both."""
        if len(self.frames) == self._fails_at:
            raise self._error
        self.frames.append(frame)
        self.predictions.append(prediction)

    def __enter__(self) -> ListSink:  # noqa: PYI034
        return self

    def __exit__(self, *_error: object) -> None:
        self.closed = True
