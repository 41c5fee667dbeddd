"""Live pictures: endless for other programs, one at a time for the page."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from aiohttp import web

from edgeresnet.sinks.web.newest import Newest
from edgeresnet.sinks.web.picture import Look, Picture
from edgeresnet.sinks.web.statuses import Statuses

MOST_STREAMS = 32
"""Clients that watch at the same time; a picture that the page waits for counts as one."""
UNREAD_S = 10.0
"""A client that takes nothing for so long is cut."""
_POLL_S = 1.0
_PIECE = 32 << 10
_BOUNDARY = "edgeresnet-frame"
_TEXT = {"": 1.0, "large": 1.6, "none": 0.0}  # few, for each is a picture of its own
_MJPEG = f"multipart/x-mixed-replace; boundary={_BOUNDARY}"


class Streams:
    """``/stream/NAME.mjpg`` and ``/frame/NAME.jpg``; a number instead of a response refuses.

    A client gets the newest frame whenever it has taken the one before: a slow one gets fewer.
    """

    def __init__(self, newest: Newest, statuses: Statuses, headers: Mapping[str, str]) -> None:
        self._newest, self._statuses, self._headers = newest, statuses, headers
        self._taken = 0
        self._closed = False

    def close(self) -> None:
        """Begin no more parts."""
        self._closed = True

    async def stream(self, request: web.BaseRequest, name: str) -> web.StreamResponse | int:
        """Part after part until the client leaves, or does not read."""
        if not await self._knows(name):
            return 404
        if request.method == "HEAD":
            return web.Response(headers={"Content-Type": _MJPEG})
        with self._seat() as seated:
            if not seated:
                return 503
            response = web.StreamResponse(headers={**self._headers, "Content-Type": _MJPEG})
            response.force_close()
            await response.prepare(request)
            await self._send_parts(request, response, name)
            return response

    async def frame(self, request: web.BaseRequest, name: str) -> web.StreamResponse | int:
        """The newest picture when its index is not ``?after=``; 204 when it still is after 1 s.

        ``X-Frame`` and ``X-Age-Ms`` say which it is and how old, ``X-Prediction`` what was seen
        (:func:`~edgeresnet.sinks.web.picture.said`). ``?labels=0`` leaves the label panel out,
        ``?text=large`` or ``none`` is for boxes that are shown small.
        """
        after, text = request.query.get("after", ""), request.query.get("text", "")
        if (after and not after.isdecimal()) or text not in _TEXT:
            return 400
        if not await self._knows(name):
            return 404
        with self._seat() as seated:
            if not seated:
                return 503
            index = int(after[:18]) if after else -1
            if not await self._newest.wait(name, _POLL_S, index=index):
                return web.Response(status=204)
            look = Look(request.query.get("labels") != "0", _TEXT[text])
            picture = await self._newest.picture(name, look)
        if picture is None:
            return web.Response(status=204)
        return web.Response(
            body=picture.jpeg,
            headers={
                "Content-Type": "image/jpeg",
                "X-Frame": str(picture.index),
                "X-Age-Ms": _age_ms(picture),
                "X-Prediction": picture.said,
            },
        )

    async def _send_parts(
        self, request: web.BaseRequest, response: web.StreamResponse, name: str
    ) -> None:
        sent = -1
        while not self._closed:
            if not await self._newest.wait(name, _POLL_S, index=None, number=sent):
                continue
            picture = await self._newest.picture(name, Look())
            if picture is None or picture.number == sent:
                continue
            sent = picture.number
            try:
                await asyncio.wait_for(_send(response, picture), UNREAD_S)
            except asyncio.TimeoutError as error:
                if request.transport is not None:
                    request.transport.abort()
                raise ConnectionResetError("the client does not read") from error

    async def _knows(self, name: str) -> bool:
        if name in self._newest:
            return True
        status = await self._statuses.now()
        return status is not None and any(one.name == name for one in status.sources)

    @contextmanager
    def _seat(self) -> Iterator[bool]:
        """Whether there was one; given back in any case."""
        if self._taken >= MOST_STREAMS:
            yield False
            return
        self._taken += 1
        try:
            yield True
        finally:
            self._taken -= 1


def _age_ms(picture: Picture) -> str:
    return f"{max(0, time.monotonic_ns() - picture.captured_ns) / 1e6:.1f}"


async def _send(response: web.StreamResponse, picture: Picture) -> None:
    """One part, in pieces: whole, each client would have a copy of its own waiting."""
    head = (
        f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture.jpeg)}\r\n"
        f"X-Frame: {picture.index}\r\nX-Age-Ms: {_age_ms(picture)}\r\n\r\n"
    )
    await response.write(head.encode())
    for begin in range(0, len(picture.jpeg), _PIECE):
        await response.write(picture.jpeg[begin : begin + _PIECE])
    await response.write(b"\r\n")
