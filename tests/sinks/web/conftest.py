"""A run that is not there: its status, its frames, and a server that shows them."""

import http.client
import json
import socket
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace

import numpy as np
import pytest

from edgeresnet.core.frames import Frame
from edgeresnet.core.predictions import Classification, Detections, Label
from edgeresnet.core.status import Frames, RunStatus, SinkStatus, SourceHealth, SourceStatus
from edgeresnet.sinks import open_sink

TOKEN = "0123456789abcdef+/&?"
CAT = Classification((Label(281, "tabby", 0.9), Label(282, "tiger cat", 0.08)))
BOATS = Detections(
    np.array([[1, 2, 30, 40], [5, 6, 20, 30]], np.float32),
    np.array([0.5, 0.4], np.float32),
    np.array([7, 7]),
    ("boat", "boat"),
)
PATIENCE_S = 10


def source(name, state="live", **health):
    frames = Frames(110, 100, {"newer": 7, "old": 3}, 2)
    return SourceStatus(name, SourceHealth(state, **health), frames, 25.0, (64, 48))


def run_status(*sources, sinks=()):
    sources = sources or (source("door"),)
    n = len(sources)
    return RunStatus(
        model="sha256:ab12",
        uptime_s=60.0,
        fps=24.5,
        latency_ms={"p50": 18.0, "p90": 25.0, "p99": 30.0, "max": 40.0},
        stages_ms={"decode": 4.0, "prepare": 2.0, "infer": 11.0, "finish": 0.5},
        frames=Frames(110 * n, 100 * n, {"newer": 7 * n, "old": 3 * n}, 2 * n),
        sources=sources,
        sinks=sinks,
        rss_mb=120.0,
    )


WELL = run_status()
UNWELL = run_status(
    source("door"),
    source("yard", "stalled", reason="stalled", detail="no frame for 12 s", since_s=12, attempts=3),
    sinks=(
        SinkStatus("jsonl:out.jsonl", accepted=100, delivered=100),
        SinkStatus(
            "mqtt://broker/cats",
            "failing",
            "connection refused",
            100,
            40,
            10,
            {"spool_full": 50},
            9,
        ),
    ),
)


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


class Served:
    """An open web sink, and ways to speak to it."""

    token = TOKEN

    def __init__(self, sink):
        self.sink, self.port = sink, sink.port

    def put(self, index=0, source="door", *, value=90, size=(48, 64), prediction=CAT):
        pixels = np.full((*size, 3), value, np.uint8) if isinstance(value, int) else value
        frame = Frame(pixels, index, time.monotonic_ns(), source)
        self.sink.put(frame, prediction)
        return frame

    def get(self, path, *, method="GET", body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, named)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)

    def raw(self, text):
        """What comes back when these very bytes are sent, until the server closes."""
        with self.connect() as client:
            client.sendall(text.encode("latin-1"))
            answer = b""
            while part := client.recv(65536):
                answer += part
        return answer.decode("latin-1")


@dataclass
class Run:
    """Its ``status`` may be changed, or be an error."""

    status: object = WELL
    asked: int = 0

    def __call__(self):
        self.asked += 1
        if isinstance(self.status, Exception):
            raise self.status
        return replace(self.status, uptime_s=self.status.uptime_s + self.asked)


@pytest.fixture
def make_status():
    """Builds a status of these sources."""
    return run_status


@pytest.fixture
def make_source():
    """Builds the status of one source, its counts adding up."""
    return source


@pytest.fixture
def boats():
    """Two detected things."""
    return BOATS


@pytest.fixture
def run():
    return Run()


@pytest.fixture
def serve(run):
    """Opens web sinks, closed when the test ends."""
    with ExitStack() as stack:

        def opened(place="0", *, status=run):
            sink = stack.enter_context(
                open_sink(f"web:{place}", model="sha256:ab12", status=status)
            )
            return Served(sink)

        yield opened


@pytest.fixture
def served(serve):
    """A page on any port, without a token."""
    return serve()


@pytest.fixture
def unwell(run):
    """Has the run say that a source and a sink fail."""
    run.status = UNWELL


@pytest.fixture
def guarded(serve, monkeypatch):
    """A page that takes a token."""
    monkeypatch.setenv("WEB_TOKEN", TOKEN)
    return serve("0?token=env:WEB_TOKEN")


@pytest.fixture
def until():
    """Waits for a condition, and fails when it does not come."""

    def waited(condition, seconds=PATIENCE_S):
        end = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < end, "it did not come"
            time.sleep(0.01)
        return found

    return waited
