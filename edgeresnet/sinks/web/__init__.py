"""``web:PORT``: a live page of the run, its pictures as streams, its figures for Prometheus.

::

    web:8080                               this machine only
    web:0.0.0.0:8080?token=env:NAME        every machine that has the token
    web:0.0.0.0:8080?token=auto            the same; a token is made and told once, on stderr
    …?token=file:PATH&host=cam.local       browsers may also call it http://cam.local:8080/

Routes: ``/`` · ``/api/status`` ``/api/predictions`` · ``/stream/SOURCE.mjpg``
``/frame/SOURCE.jpg`` · ``/metrics`` · ``/livez`` ``/readyz`` ``/healthz``. ``/readyz`` is 503 until
a source gives frames; ``/healthz`` is always 200 and says ``ok`` or ``degraded``, with reasons.
The token goes in ``Authorization: Bearer TOKEN`` or in ``?token=TOKEN``.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager

from edgeresnet.core.errors import DeviceError
from edgeresnet.core.frames import Frame
from edgeresnet.core.predictions import Prediction
from edgeresnet.sinks import Terms
from edgeresnet.sinks.web.guard import Guard
from edgeresnet.sinks.web.newest import Newest
from edgeresnet.sinks.web.place import Place, listen, parse_place
from edgeresnet.sinks.web.server import Server
from edgeresnet.sinks.web.site import Site
from edgeresnet.sinks.web.statuses import Statuses

_log = logging.getLogger("edgeresnet")


class WebSink:
    """Keeps the newest prediction of each source for whoever looks."""

    pixels = True

    def __init__(self, place: Place, terms: Terms) -> None:
        listener = listen(place)
        self.port: int = listener.getsockname()[1]
        """Where it listens, also when any port was asked for."""
        self._newest, self._statuses = Newest(), Statuses(terms.status)

        def site(connections: Callable[[], int]) -> Site:
            return Site(
                self._newest,
                self._statuses,
                Guard(place),
                model=terms.model,
                connections=connections,
            )

        self._server = Server(listener, site)
        self._newest.attach(self._server.loop)
        try:
            self._server.start()
        except BaseException:
            self.close()
            raise

    def put(self, frame: Frame, prediction: Prediction) -> None:
        """Keep it until the next one of its source; nothing is drawn before somebody looks."""
        if not self._server.serves:
            raise DeviceError("web: the server has ended")
        self._newest.put(frame, prediction)

    def close(self) -> None:
        """Cut all clients and give the port and the frames back."""
        self._server.stop()
        self._newest.close()
        self._statuses.close()


@contextmanager
def open_place(place: str, terms: Terms) -> Generator[WebSink]:
    """Serve at ``[ADDRESS:]PORT``, see above, while the block runs."""
    where = parse_place(place)
    with closing(WebSink(where, terms)) as sink:
        _tell(where, sink.port)
        yield sink


def _tell(place: Place, port: int) -> None:
    """Say where the page is. A token that was made here is told now or never."""
    if place.made:  # not by the logger, which hides secrets
        sys.stderr.write(f"web: the page is at {place.url_with_token(port)}\n")
        sys.stderr.flush()
    else:
        _log.warning(
            "web: the page is at %s%s", place.url(port), ", with its token" if place.token else ""
        )
