"""The routes of the web sink, and the headers that every answer carries."""

from __future__ import annotations

import json
import logging
import re
from base64 import b64encode
from collections.abc import Awaitable, Callable
from hashlib import sha256
from importlib import resources
from urllib.parse import quote

from aiohttp import web

from edgeresnet.core.status import RunStatus
from edgeresnet.sinks.records import WallClock, record
from edgeresnet.sinks.web.guard import METHODS, Guard, given_token
from edgeresnet.sinks.web.metrics import CONTENT_TYPE, metrics_text
from edgeresnet.sinks.web.newest import Newest
from edgeresnet.sinks.web.statuses import (
    Statuses,
    health_json,
    ready_json,
    status_json,
    to_json,
)
from edgeresnet.sinks.web.streams import Streams

MOST_CONNECTIONS = 128
_HEADERS = {
    "Server": "edgeresnet",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob:; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_SAYS = {
    400: "bad request",
    401: "unauthorized",
    403: "asked by another site's page",
    404: "not found",
    405: "GET and HEAD only",
    413: "too large",
    421: "not a name of this server; ?host=NAME of the sink adds one",
    500: "failed",
    503: "too many clients",
}
_ASSETS = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/tiles.js": ("tiles.js", "text/javascript"),
    "/charts.js": ("charts.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
_HTML = "text/html"
_PICTURE = re.compile(r"/(?P<kind>stream|frame)/(?P<name>.+)\.(?P<form>mjpg|jpg)", re.DOTALL)
_FORMS = {"stream": "mjpg", "frame": "jpg"}
_INLINE = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)

_log = logging.getLogger("edgeresnet")


class Site:
    """Answers one request. ``connections`` tells how many clients are connected."""

    def __init__(
        self,
        newest: Newest,
        statuses: Statuses,
        guard: Guard,
        *,
        model: str,
        connections: Callable[[], int],
    ) -> None:
        self._newest, self._statuses, self._guard = newest, statuses, guard
        self._model, self._clock, self._connections = model, WallClock.now(), connections
        self._streams = Streams(newest, statuses, _HEADERS)
        self._assets = {path: (_text(file), kind) for path, (file, kind) in _ASSETS.items()}
        self._enter = _text("enter.html")
        self._routes: dict[str, Callable[[], Awaitable[web.Response]]] = {
            "/api/status": self._status,
            "/api/predictions": self._predictions,
            "/metrics": self._metrics,
            "/livez": self._live,
            "/readyz": self._ready,
            "/healthz": self._health,
        }

    def close(self) -> None:
        """End the streams."""
        self._streams.close()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """The response to anything; whatever it raises but a lost connection is a 500."""
        try:
            response = await self._checked(request)
        except ConnectionError:
            raise
        except Exception as error:  # noqa: BLE001  a client must not bring the others down
            _log.warning("web: %.99r failed: %r", request.path, error)
            response = refusal(500)
        if not response.prepared:
            response.headers.update(
                {k: v for k, v in _HEADERS.items() if k not in response.headers}
            )
            if request.body_exists:
                response.force_close()
        return response

    async def _checked(self, request: web.BaseRequest) -> web.StreamResponse:
        if self._connections() > MOST_CONNECTIONS:
            return refusal(503)
        status = self._guard.refusal(request, _own_address(request))
        if status == 401 and request.path == "/" and _HTML in request.headers.get("Accept", ""):
            return self._door()
        return await self._found(request) if status is None else refusal(status)

    async def _found(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path in self._assets:
            return self._asset(request)
        if request.path in self._routes:
            return await self._routes[request.path]()
        found = _PICTURE.fullmatch(request.path)
        if found is None or _FORMS[found["kind"]] != found["form"]:
            return refusal(404)
        answer = self._streams.stream if found["kind"] == "stream" else self._streams.frame
        given = await answer(request, found["name"])
        return refusal(given) if isinstance(given, int) else given

    def _asset(self, request: web.BaseRequest) -> web.Response:
        text, kind = self._assets[request.path]
        if kind == _HTML:  # its scripts are fetched before they could name the token themselves
            token = given_token(request)
            text = text.replace("{token}", f"?token={quote(token, safe='')}" if token else "")
        return web.Response(text=text, content_type=kind, charset="utf-8")

    def _door(self) -> web.Response:
        """Where a person enters the token; it opens by itself in a tab that had it before."""
        hashes = {
            kind: b64encode(sha256(text.encode()).digest()).decode()
            for kind, text in _INLINE.findall(self._enter)
        }
        policy = (
            f"default-src 'none'; script-src 'sha256-{hashes['script']}'; "
            f"style-src 'sha256-{hashes['style']}'; form-action 'self'; frame-ancestors 'none'"
        )
        response = web.Response(status=401, text=self._enter, content_type=_HTML, charset="utf-8")
        response.headers["Content-Security-Policy"] = policy
        response.headers["WWW-Authenticate"] = "Bearer"
        return response

    async def _status(self) -> web.Response:
        text = await self._statuses.rendered(status_json)
        known = await self._statuses.now() is not None
        return _json(text, 200 if known else 503)

    async def _predictions(self) -> web.Response:
        lines = [
            record(shot.frame, shot.prediction, self._model, self._clock)
            for shot in self._newest.shots()
        ]
        return _json(to_json({"predictions": lines}))

    async def _metrics(self) -> web.Response:
        text = await self._statuses.rendered(self._metrics_text)
        return web.Response(body=text.encode(), headers={"Content-Type": CONTENT_TYPE})

    def _metrics_text(self, status: RunStatus | None) -> str:
        return metrics_text(status, self._connections())

    async def _live(self) -> web.Response:
        return _json('{"live": true}')

    async def _ready(self) -> web.Response:
        text = await self._statuses.rendered(ready_json)
        return _json(text, 200 if json.loads(text)["ready"] else 503)

    async def _health(self) -> web.Response:
        return _json(await self._statuses.rendered(health_json))


def _own_address(request: web.BaseRequest) -> str:
    """The address of this machine that the client connected to."""
    name = request.transport.get_extra_info("sockname") if request.transport else None
    return str(name[0]) if isinstance(name, tuple) else ""


def refusal(status: int) -> web.Response:
    """A few words and no more: why a token is wrong, or what exists, is nobody's business."""
    response = web.Response(status=status, text=f"{_SAYS.get(status, 'bad request')}\n")
    response.headers.update(_HEADERS)
    if status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    if status == 405:
        response.headers["Allow"] = ", ".join(METHODS)
    if status == 503:
        response.headers["Retry-After"] = "5"
        response.force_close()
    return response


def _json(text: str, status: int = 200) -> web.Response:
    return web.Response(status=status, text=text, content_type="application/json")


def _text(file: str) -> str:
    return resources.files(__package__).joinpath(file).read_text("utf-8")
