"""``mqtt://HOST/TOPIC``: events to a broker, acknowledged one by one.

In the query: ``auth`` (a reference to ``user:password``), ``every``, ``spool``, ``spool_mb``,
``full``, ``protocol=3.1.1`` for a broker that does not speak MQTT 5 (it cannot tell that it refuses
a topic), and with ``mqtts:`` ``ca``. ``{source}`` in the topic becomes the source's name. Beside
the topic, without ``{source}``, ``…/status`` holds ``online``, ``offline`` (the last will) or
``stopped``, retained.
"""

from __future__ import annotations

import hashlib
import logging
import ssl
import time
from collections import deque
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, unquote

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edgeresnet.core.errors import UsageError
from edgeresnet.core.schema import parse
from edgeresnet.core.secrets import Secret, secret_from
from edgeresnet.sinks import Terms
from edgeresnet.sinks.options import Options, is_here, split_place, split_query, spool_name, tls
from edgeresnet.sinks.outbox import Outbox, outbox
from edgeresnet.sinks.spool_file import Event
from edgeresnet.sinks.trouble import Trouble, trouble_of

KEEPALIVE_S = 15
"""A broker that says nothing for twice as long is dead."""
ANSWER_S = 5.0
"""To connect, and to accept the connection."""
ACKNOWLEDGE_S = 20.0
"""To acknowledge what was published."""
_WINDOW = 20
_TICK_S = 0.05
_PORTS = {"mqtt": 1883, "mqtts": 8883}
_HEADER_BYTES = 64
_LONGEST = 16 << 10
_NOT_AUTHORIZED, _PAYLOAD_INVALID = 0x87, 0x99
_CONNECTING = {
    0x84: ("protocol", "does not speak this MQTT: add ?protocol=3.1.1", True),
    0x86: ("unauthorized", "refuses user and password", True),
    0x87: ("unauthorized", "refuses this client, or its user and password", True),
    0x88: ("unavailable", "is not available", False),
    0x89: ("unavailable", "is busy", False),
    0x8A: ("unauthorized", "has banned this client", True),
    0x8C: ("unauthorized", "refuses this way to authenticate", True),
}

_log = logging.getLogger("edgeresnet")


class MqttOptions(Options):
    """And those of a broker."""

    protocol: Literal["5", "3.1.1"] = "5"


@dataclass
class _Heard:
    """What the broker said on one connection; holds no client, so that none outlives its use."""

    answer: ReasonCode | None = None
    most: int = _WINDOW
    largest: float = float("inf")
    acknowledged: deque[tuple[int, ReasonCode]] = field(default_factory=deque)
    parting: str = ""
    silent: bool = False


@dataclass(frozen=True)
class Broker:
    """A carrier. Each connection is a client of its own: paho keeps no queue of ours."""

    host: str
    port: int
    topic: str
    status: str
    login: Secret | None
    context: ssl.SSLContext | None
    protocol: MQTTProtocolVersion

    @property
    def name(self) -> str:
        """Where it goes, free of credentials."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"mqtt{'s' * bool(self.context)}://{host}:{self.port}"

    def work(self, box: Outbox) -> None:
        """Connect, publish until the box is over, say goodbye."""
        heard = _Heard()
        client = self._client(heard, box.uid)
        self._connect(client, heard, box)
        sent: dict[int, Event | None] = {self._say(client, b"online"): None}
        since = time.monotonic()
        while not box.over:
            for event in box.take(heard.most - len(sent)):
                topic = self._topic_of(event)
                if len(event.body) + len(topic.encode()) + _HEADER_BYTES > heard.largest:
                    box.rejected(event)
                    continue
                since = since if sent else time.monotonic()
                sent[client.publish(topic, event.body, qos=1).mid] = event
            under_way = len(sent)
            self._turn(client, heard, box, sent)
            since = time.monotonic() if len(sent) < under_way else since
            if sent and time.monotonic() - since > ACKNOWLEDGE_S:
                raise Trouble("timeout", f"{self.name} does not acknowledge what it gets")
        goodbye = self._say(client, b"stopped")
        sent[goodbye] = None
        while goodbye in sent and box.left_s > 0:
            self._turn(client, heard, box, sent)
        if goodbye not in sent:
            client.disconnect()  # without it, the broker publishes the last will

    def _client(self, heard: _Heard, uid: str) -> Client:
        machine = Path("/etc/machine-id")  # a card that is copied takes the spool's id with it
        known = machine.read_bytes() if machine.is_file() else b""
        digest = hashlib.sha256(uid.encode() + known).hexdigest()
        # The same on each connection: a broker then ends the one it still holds for us first, and
        # the last will of that one cannot overtake our online
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"edgeresnet-{digest[:12]}",
            protocol=self.protocol,
            reconnect_on_failure=False,
        )
        client.will_set(self.status, b"offline", qos=1, retain=True)
        if self.login is not None:
            user, _, password = self.login.reveal().partition(":")
            client.username_pw_set(user, password)
        if self.context is not None:
            client.tls_set_context(self.context)

        def on_connect(
            _: Client,
            __: object,
            ___: ConnectFlags,
            code: ReasonCode,
            properties: Properties | None,
        ) -> None:
            heard.answer = code
            heard.most = min(_WINDOW, getattr(properties, "ReceiveMaximum", _WINDOW))
            heard.largest = getattr(properties, "MaximumPacketSize", heard.largest)

        def on_publish(
            _: Client, __: object, mid: int, code: ReasonCode, ___: Properties | None
        ) -> None:
            heard.acknowledged.append((mid, code))

        def on_disconnect(
            _: Client, __: object, flags: DisconnectFlags, code: ReasonCode, ___: Properties | None
        ) -> None:
            heard.parting = str(code) if flags.is_disconnect_packet_from_server else ""
            heard.silent = str(code) == "Keep alive timeout"

        client.on_connect = on_connect
        client.on_publish = on_publish
        client.on_disconnect = on_disconnect
        return client

    def _connect(self, client: Client, heard: _Heard, box: Outbox) -> None:
        client.connect_timeout = max(0.1, min(ANSWER_S, box.left_s))
        try:
            client.connect(self.host, self.port, KEEPALIVE_S)
        except (OSError, ValueError) as error:
            raise trouble_of(error, self.name) from error
        until = time.monotonic() + ANSWER_S
        while heard.answer is None:
            self._turn(client, heard, box, {})
            if time.monotonic() > until or box.left_s <= 0:
                raise Trouble("timeout", f"{self.name} does not accept the connection")
        if heard.answer.is_failure:
            word, what, slow = _CONNECTING.get(
                heard.answer.value, ("refused", f"refuses the connection: {heard.answer}", True)
            )
            raise Trouble(word, f"{self.name} {what}", slow=slow)

    def _turn(
        self, client: Client, heard: _Heard, box: Outbox, sent: dict[int, Event | None]
    ) -> None:
        """Give paho a moment to write and to read, and note what the broker acknowledged."""
        code = client.loop(_TICK_S)
        self._settle(sent, heard, box)  # also what came just before the end of the connection
        if code == MQTTErrorCode.MQTT_ERR_SUCCESS:
            return
        if heard.answer is not None and heard.answer.is_failure:
            return  # whoever connects says it better
        if heard.silent:
            raise Trouble("timeout", f"{self.name} does not answer any more")
        why = f": {heard.parting}" if heard.parting else ""
        raise Trouble("closed", f"{self.name} closed the connection{why}")

    def _say(self, client: Client, status: bytes) -> int:
        return client.publish(self.status, status, qos=1, retain=True).mid

    def _settle(self, sent: dict[int, Event | None], heard: _Heard, box: Outbox) -> None:
        refused: tuple[str, ReasonCode] | None = None
        while heard.acknowledged:
            mid, code = heard.acknowledged.popleft()
            event = sent.pop(mid, None)
            if event is None:
                if code.is_failure:
                    _log.warning("sink %s: topic %s is refused: %s", self.name, self.status, code)
                if not box.waiting:
                    box.works()
            elif not code.is_failure:
                box.delivered(event)
            elif code.value == _PAYLOAD_INVALID:
                box.rejected(event)
            else:
                refused = self._topic_of(event), code
        if refused is not None:
            topic, code = refused
            denied = code.value == _NOT_AUTHORIZED
            word = "forbidden" if denied else "refused"
            raise Trouble(word, f"{self.name} refuses the topic {topic}: {code}", slow=denied)

    def _topic_of(self, event: Event) -> str:
        return self.topic.replace("{source}", _level(event.source))


class _TlsSocket(ssl.SSLSocket):
    """Closes itself when the handshake fails: paho leaves that to the garbage collector."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


def _level(source: str) -> str:
    """A source's name as one level of a topic."""
    return "".join("_" if c in "+#$/" or not c.isprintable() else c for c in source) or "_"


def _topics(parts: SplitResult, what: str, shape: str) -> tuple[str, str]:
    """The topic of the events and that of the status."""
    topic = unquote(parts.path.removeprefix("/"))
    if not topic:
        raise UsageError(f"{what}: no topic", hint=shape)
    if set("+#") & set(topic) or parts.fragment or topic[0] == "$" or not topic.isprintable():
        raise UsageError(f"{what}: a topic has no + or #, and does not begin with $", hint=shape)
    if len(topic.encode("utf-8", "replace")) > _LONGEST:
        raise UsageError(f"{what}: the topic is too long")
    levels = [level for level in topic.replace("{source}", "").split("/") if level]
    return topic, "/".join([*levels, "status"])


@contextmanager
def open_url(scheme: Literal["mqtt", "mqtts"], place: str, terms: Terms) -> Generator[Outbox]:
    """Open ``//HOST:PORT/TOPIC?…`` in the clear or over TLS."""
    what, port = f"sink {scheme}", _PORTS[scheme]
    shape = f"{scheme}://HOST:{port}/TOPIC"
    parts = split_place(f"{scheme}:{place}", shape)
    given, _ = split_query(parts.query, what)
    options = parse(MqttOptions, given, what, UsageError)
    login = secret_from(options.auth, f"{what}: auth") if options.auth else None
    if login is not None and ":" not in login.reveal():
        raise UsageError(f"{what}: auth: what it refers to is not user:password")
    context = None
    if scheme == "mqtts":
        context = tls(options, what)
        context.sslsocket_class = _TlsSocket
    elif options.ca is not None:
        raise UsageError(f"{what}: ca is for TLS", hint="write mqtts: for mqtt:")
    new = options.protocol == "5"
    broker = Broker(
        str(parts.hostname),
        parts.port or port,
        *_topics(parts, what, shape),
        login,
        context,
        MQTTProtocolVersion.MQTTv5 if new else MQTTProtocolVersion.MQTTv311,
    )
    if login is not None and context is None and not is_here(broker.host):
        _log.warning("sink %s: THE PASSWORD IS SENT IN THE CLEAR; use mqtts:", broker.name)
    name = spool_name(options, scheme, f"{broker.name}/{broker.topic}")
    with outbox(broker, terms.model, name, options) as box:
        yield box


def open_place(place: str, terms: Terms) -> AbstractContextManager[Outbox]:
    """Open ``//HOST:PORT/TOPIC?…`` in the clear."""
    return open_url("mqtt", place, terms)
