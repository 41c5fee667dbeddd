"""The HTTP server of the web sink: one thread, one loop, gone within two seconds."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from aiohttp import web

from edgeresnet.core.errors import DeviceError
from edgeresnet.sinks.web.site import Site, refusal

_MOST_SOCKETS = 256
"""Beyond it a connection is not even answered."""
_SILENT_S = 10.0
"""A connection on which no request comes, or not all of it, is cut after this."""
_LINE_BYTES, _FIELD_BYTES = 4096, 4096
_GRACE_S, _JOIN_S = 0.5, 2.0

_log = logging.getLogger("edgeresnet")
_silent = logging.getLogger("edgeresnet.web.http")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False  # it would write a traceback for each malformed request, token included


class _Visitor(web.RequestHandler):
    """One connection. Only what aiohttp answers by itself is changed."""

    __slots__ = ("_first", "_wire")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._wire = transport
        manager = self._manager
        if manager is not None and len(manager.connections) > _MOST_SOCKETS:
            self.abort()
        self._first = asyncio.get_running_loop().call_later(_SILENT_S, self._cut_if_silent)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._first.cancel()
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,  # noqa: ARG002
        message: str | None = None,  # noqa: ARG002
    ) -> web.StreamResponse:
        """Refuse what is no HTTP without naming versions or what was sent."""
        if request.writer.output_size > 0:
            raise ConnectionError("half of an answer is out")
        response = refusal(status)
        response.force_close()
        return response

    def abort(self) -> None:
        """End the connection without another byte."""
        if isinstance(self._wire, asyncio.WriteTransport):
            self._wire.abort()

    def _cut_if_silent(self) -> None:
        if self._request_count == 0:
            self.abort()


class _Door(web.Server):
    """Makes a visitor of each connection."""

    def __call__(self) -> web.RequestHandler:
        return _Visitor(self, loop=self._loop, **self._kwargs)


class Server:
    """Serves on ``listener`` from :meth:`start` until :meth:`stop`, which closes it too."""

    def __init__(
        self, listener: socket.socket, make_site: Callable[[Callable[[], int]], Site]
    ) -> None:
        self._listener, self._make_site = listener, make_site
        self.loop = asyncio.new_event_loop()
        self._leave = asyncio.Event()
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)

    @property
    def serves(self) -> bool:
        """Whether it runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Return once clients are answered."""
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            raise DeviceError(f"web: cannot serve: {self._error}") from self._error

    def stop(self) -> None:
        """Cut everybody and end the thread; a second time does nothing."""
        with suppress(RuntimeError):  # the loop has ended before
            self.loop.call_soon_threadsafe(self._leave.set)
        if self._thread.is_alive():
            self._thread.join(_JOIN_S)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.set_exception_handler(_note)
        try:
            self.loop.run_until_complete(self._serve())
        except BaseException as error:  # noqa: BLE001  raised where it was started, or seen by put
            self._error = error
        finally:
            self._listener.close()
            self._clear()
            self._ready.set()

    async def _serve(self) -> None:
        door: _Door
        site = self._make_site(lambda: len(door.connections))
        door = _Door(
            site.answer,
            handler_cancellation=True,
            keepalive_timeout=_SILENT_S,
            lingering_time=1.0,
            logger=_silent,
            access_log=None,
            max_line_size=_LINE_BYTES,
            max_field_size=_FIELD_BYTES,
        )
        server = await self.loop.create_server(door, sock=self._listener)
        self._ready.set()
        await self._leave.wait()
        server.close()
        site.close()
        door.pre_shutdown()
        visitors = door.connections
        await door.shutdown(_GRACE_S)
        for visitor in visitors:
            if isinstance(visitor, _Visitor):
                visitor.abort()

    def _clear(self) -> None:
        """End what is left on the loop, and close it."""
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self.loop.run_until_complete(asyncio.sleep(0))  # connections hear that they are lost
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        asyncio.set_event_loop(None)
        self.loop.close()


def _note(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    _log.warning("web: %s", context.get("message", "the loop has a fault"))
