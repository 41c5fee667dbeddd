"""The newest frame of each source, and its picture, made once and only when somebody looks."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from edgeresnet.core.frames import Frame
from edgeresnet.core.predictions import Prediction
from edgeresnet.sinks.web.picture import Look, Picture, make_picture

MOST_SOURCES = 64


@dataclass(frozen=True, eq=False)
class Shot:
    """What was put last for one source."""

    number: int
    frame: Frame
    prediction: Prediction


class Newest:
    """Filled by the sink's thread, read on the server's loop.

    One frame of each source is kept and no other: its pixels may lie in a camera's ring. A picture
    is drawn and encoded on a thread of its own, once for all who look.
    """

    def __init__(self) -> None:
        self.ignored = 0
        """Frames of sources beyond the most that are kept."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pool = ThreadPoolExecutor(1, "web-picture")  # one core is enough to look on
        self._shots: dict[str, Shot] = {}
        self._numbers = itertools.count()
        self._waited: dict[str, asyncio.Event] = {}
        self._pictures: dict[tuple[str, Look], Picture] = {}
        self._making: dict[tuple[str, Look], asyncio.Task[Picture]] = {}
        self._closed = False

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Name the loop that reads."""
        self._loop = loop

    def put(self, frame: Frame, prediction: Prediction) -> None:
        """Keep this one for its source; from any one thread."""
        if self._closed:
            return
        name = frame.source
        if name not in self._shots and len(self._shots) >= MOST_SOURCES:
            self.ignored += 1
            return
        self._shots[name] = Shot(next(self._numbers), frame, prediction)
        # who waits says so before it looks, so either it sees the frame or we see that it waits
        if name in self._waited and self._loop is not None:
            with suppress(RuntimeError):  # the loop has just ended
                self._loop.call_soon_threadsafe(self._wake, name)

    def close(self) -> None:
        """Give all frames back, and make no more pictures."""
        self._closed = True
        self._shots.clear()
        self._pool.shutdown(cancel_futures=True)

    def __contains__(self, name: str) -> bool:
        return name in self._shots

    def shots(self) -> Iterator[Shot]:
        """The newest of each source; do not keep them."""
        yield from list(self._shots.values())

    async def wait(self, name: str, wait_s: float, *, index: int | None, number: int = -1) -> bool:
        """Whether a frame is there that has another ``index``, or else a higher ``number``."""

        def news() -> bool:
            shot = self._shots.get(name)
            if shot is None:
                return False
            return shot.number > number if index is None else shot.frame.index != index

        loop = asyncio.get_running_loop()
        end = loop.time() + wait_s
        while True:
            changed = self._waited.setdefault(name, asyncio.Event())
            if news():
                return True
            try:
                await asyncio.wait_for(changed.wait(), end - loop.time())
            except asyncio.TimeoutError:
                return news()

    async def picture(self, name: str, look: Look) -> Picture | None:
        """The picture of the newest frame, or of the one before while that is being made."""
        key = name, look
        shot = self._shots.get(name)
        if shot is None:
            return None
        made = self._pictures.get(key)
        if made is not None and made.number == shot.number:
            return made
        del shot
        making = self._making.get(key)
        if making is None:
            making = asyncio.ensure_future(self._make(key))
            self._making[key] = making
            making.add_done_callback(lambda done: self._made(key, done))
        return await asyncio.shield(making)  # who leaves does not take it from the others

    async def _make(self, key: tuple[str, Look]) -> Picture:
        made = await asyncio.get_running_loop().run_in_executor(self._pool, self._encode, key)
        self._pictures[key] = made
        return made

    def _made(self, key: tuple[str, Look], done: asyncio.Task[Picture]) -> None:
        self._making.pop(key, None)
        if not done.cancelled():
            done.exception()  # whoever waits gets it; nobody may be left who does

    def _encode(self, key: tuple[str, Look]) -> Picture:
        shot = self._shots[key[0]]
        return make_picture(shot.frame, shot.prediction, shot.number, key[1])

    def _wake(self, name: str) -> None:
        waited = self._waited.pop(name, None)
        if waited is not None:
            waited.set()
