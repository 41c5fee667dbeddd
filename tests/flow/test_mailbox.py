import threading

from hypothesis import given, settings
from hypothesis import strategies as st

from edgeresnet.flow.mailbox import Mailbox

NEVER = threading.Event()


def test_the_second_item_replaces_the_first_which_is_given_back():
    box = Mailbox()
    assert box.put("old") is None
    assert box.put("new") == "old"
    assert box.take(NEVER) == "new"
    assert box.put("newest") is None


def test_what_is_left_can_be_taken_after_closing_and_then_nothing():
    box = Mailbox()
    box.put(1)
    box.close()
    assert box.take(NEVER) == 1
    assert box.take(NEVER) is None


def test_closing_wakes_whoever_waits():
    box, taken = Mailbox(), []
    taker = threading.Thread(target=lambda: taken.append(box.take(NEVER)))
    taker.start()
    box.close()
    taker.join()
    assert taken == [None]


def test_any_of_the_ends_ends_the_wait():
    for which in range(2):
        box, taken, ends = Mailbox(), [], [threading.Event(), threading.Event()]
        taker = threading.Thread(target=lambda: taken.append(box.take(*ends)))  # noqa: B023
        taker.start()
        ends[which].set()
        taker.join()
        assert taken == [None]


@settings(max_examples=50, deadline=None)
@given(count=st.integers(1, 300))
def test_every_item_is_taken_or_given_back_and_the_last_is_taken(count):
    box, given_back = Mailbox(), []

    def capture():
        for item in range(count):
            if (replaced := box.put(item)) is not None:
                given_back.append(replaced)  # noqa: PERF401  what is put must be put one by one
        box.close()

    thread = threading.Thread(target=capture)
    thread.start()
    taken = []
    while (item := box.take(NEVER)) is not None:
        taken.append(item)
    thread.join()
    assert sorted(taken + given_back) == list(range(count))
    assert taken == sorted(taken)
    assert taken[-1] == count - 1
