"""``mqtts://HOST/TOPIC``: :mod:`edgeresnet.sinks.mqtt` over TLS."""

from __future__ import annotations

from contextlib import AbstractContextManager

from edgeresnet.sinks import Terms
from edgeresnet.sinks.mqtt import open_url
from edgeresnet.sinks.outbox import Outbox


def open_place(place: str, terms: Terms) -> AbstractContextManager[Outbox]:
    """Open ``//HOST:PORT/TOPIC?…`` over TLS."""
    return open_url("mqtts", place, terms)
