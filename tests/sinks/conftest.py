"""State out of the user's way, brokers, and proof that a sink leaves nothing behind."""

import logging
import shutil
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from edgeresnet.core.frames import Frame
from edgeresnet.core.predictions import Classification, Label
from edgeresnet.sinks import outbox

WITHIN_S = 15
"""Long enough on a machine that others use; what is waited for takes a fraction of it."""


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    """The folder where this test's spools are."""
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state/edgeresnet/spool"


@pytest.fixture
def quick(monkeypatch):
    """Waits are a fiftieth of what they are."""
    monkeypatch.setattr(outbox, "SCALE", 0.02)


@pytest.fixture
def until():
    """Waits for what is going to be true."""

    def wait(condition):
        end = time.monotonic() + WITHIN_S
        while not condition():
            assert time.monotonic() < end, "it did not come true"
            time.sleep(0.01)

    return wait


def _held():
    threads = {one for one in threading.enumerate() if not one.name.startswith("paho")}
    return len(threads), len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
def nothing_left():
    """As many threads and open files after the test as before."""
    before = _held()
    yield
    end = time.monotonic() + WITHIN_S
    while _held() > before and time.monotonic() < end:
        time.sleep(0.05)
    after = _held()
    assert after[0] <= before[0]
    assert after[1] <= before[1]


@pytest.fixture
def put():
    """Gives a sink as many predictions."""

    def give(sink, count, source="camera-0", first=0):
        for index in range(first, first + count):
            frame = Frame(np.zeros((2, 3, 3), np.uint8), index, 1000 * index, source)
            sink.put(frame, Classification((Label(1, "cat", 0.5),)))

    return give


@pytest.fixture
def exact():
    """Checks the books of a sink, and gives them."""

    def check(status):
        assert status.accepted == (status.delivered + status.waiting + sum(status.dropped.values()))
        return status

    return check


@pytest.fixture
def said(caplog):
    """All that was logged, as one text."""
    caplog.set_level(logging.DEBUG)
    return lambda: caplog.text


@pytest.fixture(scope="session")
def mosquitto(server_module):
    """The module that runs a broker."""
    module = server_module("mosquitto")
    if not module.is_installed():
        pytest.skip(module.ABSENT)
    return module


@pytest.fixture(scope="session")
def certificate(server_module):
    """Makes certificates."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    return server_module("mosquitto").certificate


@pytest.fixture
def broker(mosquitto, tmp_path):
    """Makes brokers; ``broker(users=…)`` is not started yet."""
    made = []

    def make(**options):
        made.append(mosquitto.Mosquitto(tmp_path / f"broker-{len(made)}", **options))
        return made[-1]

    yield make
    for one in made:
        one.stop()


@pytest.fixture
def listener(mosquitto):
    """Makes those who listen to a broker."""
    with ExitStack() as stack:

        def make(port, **options):
            one = mosquitto.Listener(port, **options)
            stack.callback(one.close)
            return one

        yield make


@pytest.fixture(scope="session")
def stub(server_module):
    """The module of the broker that breaks."""
    return server_module("mqtt_stub")
