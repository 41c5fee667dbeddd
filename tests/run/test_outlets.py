import threading
import time
from contextlib import contextmanager

import pytest

from edgeresnet.core.errors import DeviceError, UsageError
from edgeresnet.core.frames import Frame
from edgeresnet.core.predictions import Classification, Label
from edgeresnet.run.outlets import open_outlets
from edgeresnet.testing import grey

LABEL = Classification((Label(0, "x", 1.0),))


class Opener:
    """Opens sinks by name and notes what became of them."""

    def __init__(self, closing=lambda _name: None):
        self.events, self.taken, self._closing = [], {}, closing
        self._lock = threading.Lock()

    @contextmanager
    def __call__(self, name):
        if name == "refused":
            raise UsageError("no such place")
        self.taken[name] = []
        self.events.append(f"open {name}")
        outer = self

        class Sink:
            def put(self, frame, _prediction):
                outer.taken[name].append(frame.index)

        try:
            yield Sink()
        finally:
            self._closing(name)
            with self._lock:
                self.events.append(f"close {name}")


def test_all_are_closed_at_the_same_time_when_each_has_had_everything():
    both = threading.Barrier(3)  # passed only when all three close at once
    opener = Opener(lambda _name: both.wait(10))
    with open_outlets("abc", opener, live=False) as outlets:
        for index in range(50):
            for outlet in outlets:
                outlet.put(Frame(grey(0), index, 0), LABEL)
    assert opener.taken == {name: list(range(50)) for name in "abc"}
    assert sorted(opener.events[3:]) == ["close a", "close b", "close c"]


def test_one_that_is_refused_closes_those_before_it():
    opener = Opener()
    with (
        pytest.raises(UsageError, match="no such place"),
        open_outlets(["a", "refused", "b"], opener, live=False),
    ):
        pass
    assert opener.events == ["open a", "close a"]


def test_what_one_raises_in_closing_is_raised_when_all_are_closed():
    def closing(name):
        if name == "a":
            raise DeviceError("disk full")
        time.sleep(0.05)

    opener = Opener(closing)
    with pytest.raises(DeviceError, match="disk full"), open_outlets("ab", opener, live=True):
        pass
    assert "close b" in opener.events


def test_an_error_of_the_run_comes_before_one_of_closing():
    def closing(_name):
        raise DeviceError("disk full")

    def run():
        with open_outlets("ab", Opener(closing), live=True):
            raise ValueError("first")

    with pytest.raises(ValueError, match="first"):
        run()
