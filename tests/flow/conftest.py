"""A fake bundle whose engine tells a picture's grey, and a look-out for threads left behind."""

import threading
import time

import pytest

from edgeresnet.backends import BACKENDS
from edgeresnet.core.protocols import Mode
from edgeresnet.flow.counters import Counters
from edgeresnet.flow.intake import Feed
from edgeresnet.flow.opening import open_bundle
from edgeresnet.flow.stream import Policy, predictions
from edgeresnet.testing import FakeBackend, plugged, write_bundle

GRACE_S = 5


@pytest.fixture(autouse=True)
def _no_thread_left():
    """Every thread that a test started has ended with it."""
    before = set(threading.enumerate())
    yield
    end = time.monotonic() + GRACE_S
    while left := set(threading.enumerate()) - before:
        assert time.monotonic() < end, f"still running: {left}"
        time.sleep(0.01)


@pytest.fixture(scope="session")
def greys(tmp_path_factory):
    """A bundle of 256 classes: the class of a picture is its grey."""
    return write_bundle(tmp_path_factory.mktemp("fake") / "grey.bundle", classes=256)


@pytest.fixture
def backend():
    """The fake that opens such bundles; its faults may be set before it is used."""
    fake = FakeBackend()
    with plugged(BACKENDS, "fake", backend=fake):
        yield fake


class Stream:
    """One stream of frames through the fake bundle."""

    def __init__(self, bundle, source, policy=None, stop=None):
        self.counters, self.stop = Counters(), stop or threading.Event()
        self.error = None
        self._bundle, self._source, self._policy = bundle, source, policy or Policy()

    def run(self, on_result=lambda _results, _stream: None):
        """All results; what was raised is kept, and the count must balance in any case."""
        results = []
        mode = Mode.LATENCY if self._source.live else Mode.THROUGHPUT
        with open_bundle(self._bundle, mode) as opened:
            frames = predictions(
                [Feed(self._source, self.counters)], opened, self._policy, self.stop
            )
            try:
                for result in frames:
                    results.append(result)
                    on_result(results, self)
            except Exception as error:  # noqa: BLE001  looked at by the test
                self.error = error
            finally:
                frames.close()
        assert self.counters.balanced, self.counters
        return results


@pytest.fixture
def stream(greys, backend):
    """Makes a :class:`Stream` of a source."""
    return lambda source, policy=None, stop=None: Stream(greys, source, policy, stop)
