import logging
import threading
from itertools import islice

import numpy as np
import pytest

from edgeresnet.core.errors import DeviceError
from edgeresnet.sources import shots
from edgeresnet.sources.shots import Lost, Shot, ShotSource, ticks
from edgeresnet.sources.terms import Terms


def shot(value=0, **more):
    return Shot(np.full((2, 3, 3), value, np.uint8), **more)


def source(*items, **more):
    return ShotSource("s", lambda: (item for item in items), threading.Event(), **more)


class Clock:
    """A clock that moves only when someone waits, and a stop that nobody sets."""

    def __init__(self):
        self.now, self.stopped = 100.0, False

    def monotonic(self):
        return self.now

    def wait(self, seconds):
        self.now += seconds
        return self.stopped

    def is_set(self):
        return self.stopped


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(shots.time, "monotonic", clock.monotonic)
    return clock


def test_lost_shots_use_up_an_index_and_are_counted_by_reason():
    given = source(shot(), Lost("corrupt"), shot(), Lost("corrupt"), Lost("unreadable"))
    frames = list(given)
    assert [frame.index for frame in frames] == [0, 2]
    assert given.dropped == {"corrupt": 2, "unreadable": 1}
    assert len(frames) + sum(given.dropped.values()) == 5


def test_a_lost_shot_says_why_when_it_has_something_to_say(caplog):
    with caplog.at_level(logging.WARNING, "edgeresnet"):
        list(source(Lost("corrupt", "a.jpg is bad"), Lost("corrupt")))
    assert [record.getMessage() for record in caplog.records] == ["s: a.jpg is bad"]


def test_the_time_of_the_device_is_kept_but_never_runs_backwards():
    frames = list(source(shot(captured_ns=50), shot(captured_ns=40), shot(captured_ns=60)))
    assert [frame.captured_ns for frame in frames] == [50, 50, 60]


def test_an_error_of_the_device_reaches_the_consumer_after_its_last_frame():
    def failing():
        yield shot()
        raise DeviceError("gone")

    frames = iter(ShotSource("s", failing, threading.Event()))
    assert next(frames).index == 0
    with pytest.raises(DeviceError, match="gone"):
        next(frames)


def test_stop_ends_a_source_that_loses_everything():
    stop = threading.Event()

    def losing():
        yield Lost("corrupt")
        stop.set()
        while True:
            yield Lost("corrupt")

    assert list(ShotSource("s", losing, stop)) == []


def test_a_consumer_who_leaves_closes_the_shots():
    closed = []

    def endless():
        try:
            while True:
                yield shot()
        finally:
            closed.append(True)

    frames = iter(ShotSource("s", endless, threading.Event()))
    next(frames)
    frames.close()
    assert closed == [True]


def test_ticks_keep_to_the_schedule_however_long_the_work_takes(clock):
    due = ticks(10, clock)
    moments = []
    for _ in range(200):
        next(due)
        moments.append(clock.now)
        clock.now += 0.03  # the work between two frames
    np.testing.assert_allclose(moments, 100 + np.arange(200) / 10, atol=1e-6)


def test_ticks_that_were_missed_are_not_made_up_for(clock):
    due = ticks(10, clock)
    assert next(due) == 0
    clock.now += 1.05
    assert next(due) == 10
    assert clock.now == pytest.approx(101.05)
    assert next(due) == 11
    assert clock.now == pytest.approx(101.1)


def test_ticks_without_a_rate_never_wait(clock):
    assert list(islice(ticks(None, clock), 3)) == [0, 1, 2]
    assert clock.now == 100


def test_stop_ends_a_wait(clock):
    due = ticks(1, clock)
    next(due)
    clock.stopped = True
    assert list(due) == []


@pytest.mark.parametrize(
    ("base", "index", "name"),
    [("clip.mp4", 0, "clip.mp4"), ("clip.mp4", 2, "clip.mp4-2"), ("a\nb\udce9", 0, "a_b_")],
)
def test_names_of_sources_are_printable_and_unique(base, index, name):
    assert Terms(index=index).named(base) == name
