import threading
import time
from contextlib import closing, contextmanager

import pytest

from edgeresnet.core.secrets import Secret
from edgeresnet.sinks.event import Stamp
from edgeresnet.sinks.outbox import FLUSH_S, Outbox
from edgeresnet.sinks.spool import Spool
from edgeresnet.sinks.trouble import Trouble

pytestmark = pytest.mark.usefixtures("nothing_left", "quick")


class Script:
    """A carrier that fails as it is told, and then delivers."""

    name = "script://there"

    def __init__(self, *troubles):
        self.troubles = list(troubles)
        self.tries, self.sent = 0, []
        self.open = threading.Event()
        self.open.set()

    def work(self, box):
        self.tries += 1
        if self.troubles:
            raise self.troubles.pop(0)
        while not box.over:
            if not self.open.is_set():
                raise Trouble("closed", "not now")
            for event in box.take(3):
                self.sent.append(event.event_id)
                box.delivered(event)
            box.wait()


@contextmanager
def sink(carrier, every_s=0.0):
    spool = Spool("s", 1_000_000, "drop_oldest")
    with closing(Outbox(carrier, spool, Stamp("sha256:ab"), every_s)) as box:
        yield box


def refused():
    return Trouble("refused", "nobody is there")


def test_all_is_delivered_in_order_and_counted(put, until, exact):
    carrier = Script()
    with sink(carrier) as box:
        put(box, 50)
        until(lambda: box.delivery().delivered == 50)
        status = exact(box.delivery())
        assert (status.name, status.state, status.accepted) == ("script://there", "ok", 50)
    counts = [int(event_id.rpartition("-")[2]) for event_id in carrier.sent]
    assert counts == list(range(50))


def test_a_receiver_that_is_down_at_first_gets_all_later(put, until, exact, said):
    carrier = Script(*(refused() for _ in range(3)))
    with sink(carrier) as box:
        put(box, 10)
        until(lambda: box.delivery().delivered == 10)
        assert exact(box.delivery()).errors == 3
    assert len(set(carrier.sent)) == 10
    assert said().count("refused: nobody is there") == 1
    assert said().count("works again") == 1


def test_what_is_not_delivered_waits_for_the_next_run_and_is_counted_there(put, until, exact):
    carrier = Script(*(refused() for _ in range(9)))
    with sink(carrier) as box:
        put(box, 10)
        assert exact(box.delivery()).waiting == 10
        put(box, 10, first=10)
    left = exact(box.delivery()).waiting
    carrier = Script()
    with sink(carrier) as box:
        put(box, 1)
        until(lambda: box.delivery().delivered == left + 1)
        assert exact(box.delivery()).accepted == left + 1


def test_five_failures_in_a_row_are_a_failing_sink_with_one_probe_a_rung(put, until, exact):
    carrier = Script(*(refused() for _ in range(100)))
    with sink(carrier) as box:
        put(box, 2)
        until(lambda: box.delivery().errors)
        if box.delivery().errors < 5:
            assert box.delivery().state == "ok"
        until(lambda: box.delivery().state == "failing")
        status = exact(box.delivery())
        assert status.reason == "refused: nobody is there"
        assert status.errors >= 5
        assert carrier.tries - status.errors in (0, 1)
        carrier.troubles = []
        until(lambda: box.delivery().delivered == 2)
        assert (box.delivery().state, box.delivery().reason) == ("ok", "")


def test_what_only_a_hand_mends_is_failing_at_once_and_tried_seldom(until):
    carrier = Script(*(Trouble("unauthorized", "wrong password", slow=True) for _ in range(9)))
    with sink(carrier) as box:
        until(lambda: box.delivery().state == "failing")
        assert box.delivery().reason == "unauthorized: wrong password"
        time.sleep(0.2)  # the quick rung is 0.02 s, the slow one 0.6 s
        assert carrier.tries <= 2


def test_a_delivery_begins_the_ladder_anew(put, until):
    carrier = Script(*(refused() for _ in range(7)))
    with sink(carrier) as box:
        put(box, 1)
        until(lambda: box.delivery().delivered == 1)
        assert box._backoff.failures == 0


def test_a_receiver_that_asks_for_time_gets_it(put, until):
    carrier = Script(Trouble("busy", "later", wait_s=0.5))
    began = time.monotonic()
    with sink(carrier) as box:
        put(box, 1)
        until(lambda: box.delivery().delivered == 1)
        assert time.monotonic() - began >= 0.5


def test_what_a_library_throws_is_counted_said_and_tried_again(put, until, said):
    Secret("geheim99")
    carrier = Script(RuntimeError("http://me:geheim99@host and geheim99"))
    with sink(carrier) as box:
        until(lambda: box.delivery().errors)
        put(box, 1)
        until(lambda: box.delivery().delivered == 1)
    assert "error: RuntimeError: http://***@host and ***" in said()
    assert "geheim99" not in said()


def test_what_is_lost_on_the_way_is_sent_again_with_the_same_id(put, until):
    class Loses(Script):
        def work(self, box):
            if not self.sent:
                while not (events := box.take(5)):
                    box.wait()
                self.sent += [event.event_id for event in events]
                raise Trouble("closed", "gone")
            super().work(box)

    carrier = Loses()
    with sink(carrier) as box:
        put(box, 5)
        until(lambda: box.delivery().delivered == 5)
    first = len(carrier.sent) - 5
    assert carrier.sent[:first] == carrier.sent[first : 2 * first]
    assert len(set(carrier.sent)) == 5


def test_at_most_one_event_a_source_in_so_much_time(put, until, exact):
    carrier = Script()
    with sink(carrier, every_s=10e-6) as box:  # the frames are a microsecond apart
        put(box, 25, "a")
        put(box, 5, "b")
        until(lambda: not box.delivery().waiting)
        assert exact(box.delivery()).accepted == 4


def test_the_end_waits_for_what_can_be_delivered(put, exact):
    carrier = Script()
    with sink(carrier) as box:
        put(box, 1000)
    assert exact(box.delivery()).delivered == 1000


def test_the_end_tries_once_more(put, until, exact):
    carrier = Script()
    with sink(carrier) as box:
        box._backoff.scale = 1000  # from now on it would wait for ever
        carrier.open.clear()
        put(box, 3)
        until(lambda: box.delivery().errors)
        carrier.open.set()
    assert exact(box.delivery()).delivered == 3


@pytest.mark.parametrize("slow", [True, False])
def test_the_end_does_not_wait_for_what_fails(slow, put, until):
    carrier = Script(*(Trouble("refused", "no", slow=slow) for _ in range(9)))
    with sink(carrier) as box:
        box._backoff.scale = 1000
        put(box, 3)
        until(lambda: box.delivery().errors)
        began = time.monotonic()
    assert time.monotonic() - began < FLUSH_S
    assert box.delivery().waiting == 3


def test_a_carrier_that_hangs_is_left_behind(put, exact):
    class Hangs(Script):
        def work(self, box):
            self.open.wait(30)

    carrier = Hangs()
    carrier.open.clear()
    began = time.monotonic()
    with sink(carrier) as box:
        put(box, 3)
    took_s = time.monotonic() - began
    carrier.open.set()
    assert FLUSH_S <= took_s < FLUSH_S + 8
    assert exact(box.delivery()).waiting == 3


def test_closing_twice_is_safe(put):
    with sink(Script()) as box:
        put(box, 1)
        box.close()
        box.close()


def test_it_wants_no_pixels():
    assert Outbox.pixels is False
