import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeresnet.core.errors import DeviceError
from edgeresnet.core.frames import Frame
from edgeresnet.core.predictions import Classification, Label
from edgeresnet.core.status import SinkStatus
from edgeresnet.flow.outlet import FACTS, PICTURES, Outlet
from edgeresnet.testing import grey

LABEL = Classification((Label(0, "x", 1.0),))
WAIT_S = 10


def frame(index=0):
    return Frame(grey(index % 256), index, 0)


class Recorder:
    """Keeps indexes; waits for ``gate``, and raises what ``fails`` says for an index."""

    def __init__(self, fails=lambda _index: None, *, gate=None, pixels=True):
        self.pixels, self.taken, self.fails, self.gate = pixels, [], fails, gate
        self.begun = threading.Event()

    def put(self, frame, _prediction):
        self.begun.set()
        if self.gate is not None:
            assert self.gate.wait(WAIT_S)
        error = self.fails(frame.index)
        if error is not None:
            raise error
        self.taken.append(frame.index)


def balanced(status):
    return status.accepted == status.delivered + status.waiting + sum(status.dropped.values())


def until(condition):
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


def test_a_sink_gets_everything_in_order_on_a_thread_of_its_own():
    sink = Recorder()
    outlet = Outlet("list:a", sink, live=False)
    for index in range(500):
        outlet.put(frame(index), LABEL)
    assert outlet.end()
    assert sink.taken == list(range(500))
    status = outlet.status()
    assert (status.name, status.state, status.delivered, status.dropped) == (
        "list:a",
        "ok",
        500,
        {},
    )


@pytest.mark.parametrize("pixels", [True, False])
def test_in_a_live_run_the_oldest_makes_room_and_nobody_waits(pixels):
    gate = threading.Event()
    sink = Recorder(gate=gate, pixels=pixels)
    room = PICTURES if pixels else FACTS
    outlet = Outlet("slow", sink, live=True)
    outlet.put(frame(0), LABEL)
    assert sink.begun.wait(WAIT_S)
    for index in range(1, room + 11):
        outlet.put(frame(index), LABEL)
    status = outlet.status()
    assert status.dropped == {"queue_full": 10}
    assert status.waiting == room + 1
    assert balanced(status)
    gate.set()
    assert outlet.end()
    assert sink.taken == [0, *range(11, room + 11)]


def test_in_a_run_that_loses_nothing_whoever_puts_waits_for_room():
    gate = threading.Event()
    sink = Recorder(gate=gate)
    outlet = Outlet("slow", sink, live=False)
    putter = threading.Thread(target=lambda: [outlet.put(frame(i), LABEL) for i in range(50)])
    putter.start()
    until(lambda: outlet.status().waiting == PICTURES + 1)
    assert putter.is_alive()
    gate.set()
    putter.join(WAIT_S)
    assert outlet.end()
    assert sink.taken == list(range(50))


def test_a_sink_that_raises_in_a_live_run_is_counted_named_and_tried_again(caplog):
    sink = Recorder(lambda index: DeviceError("the cable is out") if index < 3 else None)
    outlet = Outlet("bad", sink, live=True)
    for index in range(3):
        outlet.put(frame(index), LABEL)
    until(lambda: outlet.status().errors == 3)
    failing = outlet.status()
    assert (failing.state, failing.reason) == ("failing", "the cable is out")
    outlet.put(frame(3), LABEL)
    until(lambda: outlet.status().delivered == 1)
    assert outlet.end()
    well = outlet.status()
    assert (well.state, well.reason, well.dropped) == ("ok", "", {"failed": 3})
    assert balanced(well)
    assert [record.getMessage() for record in caplog.records] == [
        "sink bad: the cable is out",
        "sink bad: works again",
    ]
    assert outlet.error is None


def test_one_that_keeps_failing_is_left_alone_for_a_while():
    calls = []
    sink = Recorder(lambda index: calls.append(index) or OSError("no"))
    outlet = Outlet("bad", sink, live=True)
    for index in range(200):
        outlet.put(frame(index), LABEL)
        until(lambda: outlet.status().waiting == 0)
    assert outlet.end()
    assert len(calls) == 5
    assert outlet.status().dropped == {"failed": 200}


def test_in_a_run_that_loses_nothing_a_sink_that_raised_gets_nothing_more():
    error = DeviceError("disk full")
    sink = Recorder(lambda index: error if index == 5 else None)
    outlet = Outlet("disk", sink, live=False)
    for index in range(100):
        outlet.put(frame(index), LABEL)
    assert outlet.end()
    assert outlet.error is error
    assert sink.taken == list(range(5))
    assert balanced(outlet.status())


def test_a_sink_that_hangs_cannot_keep_a_live_run_from_ending(monkeypatch):
    monkeypatch.setattr("edgeresnet.flow.outlet._FLUSH_S", 0.1)
    gate = threading.Event()
    outlet = Outlet("hangs", Recorder(gate=gate), live=True)
    outlet.put(frame(), LABEL)
    assert not outlet.end()
    gate.set()


def test_what_a_sink_says_of_its_own_delivery_is_added_to_the_queues_count():
    class Spooled(Recorder):
        pixels = False

        def delivery(self):
            return SinkStatus("", "failing", "refused", 7, 2, 4, {"spool_full": 1}, 3)

    outlet = Outlet("mqtt://h/t", Spooled(), live=True)
    status = outlet.status()
    assert (status.name, status.state, status.reason) == ("mqtt://h/t", "failing", "refused")
    assert (status.accepted, status.delivered, status.waiting) == (7, 2, 4)
    assert balanced(status)
    assert outlet.end()


@settings(max_examples=25, deadline=None)
@given(fails=st.sets(st.integers(0, 60)), live=st.booleans(), count=st.integers(0, 60))
def test_what_was_put_is_delivered_waiting_or_dropped_whatever_the_sink_does(fails, live, count):
    sink = Recorder(lambda index: OSError("x") if index in fails else None)
    outlet = Outlet("any", sink, live=live)
    for index in range(count):
        outlet.put(frame(index), LABEL)
        assert balanced(outlet.status())
    assert outlet.end()
    status = outlet.status()
    assert balanced(status)
    assert (status.accepted, status.waiting) == (count, 0)
    assert status.delivered == len(sink.taken)
    assert sink.taken == sorted(sink.taken)


def test_stopping_ends_the_wait_for_a_sink_that_hangs_in_a_run_of_files(monkeypatch):
    monkeypatch.setattr("edgeresnet.flow.outlet._FLUSH_S", 0.3)
    gate, stop = threading.Event(), threading.Event()
    outlet = Outlet("hangs", Recorder(gate=gate), live=False, stop=stop)
    putter = threading.Thread(target=lambda: [outlet.put(frame(i), LABEL) for i in range(50)])
    putter.start()
    until(lambda: outlet.status().waiting == PICTURES + 1)
    stop.set()
    putter.join(WAIT_S)
    assert not putter.is_alive()
    assert not outlet.end()
    assert balanced(outlet.status())
    gate.set()
