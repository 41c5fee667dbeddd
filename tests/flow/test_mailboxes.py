import threading

from hypothesis import given, settings
from hypothesis import strategies as st

from edgeresnet.flow.mailboxes import Mailboxes

NEVER = threading.Event()


def test_the_second_item_replaces_the_first_which_is_given_back():
    box = Mailboxes(1)
    assert box.put(0, "old") is None
    assert box.put(0, "new") == "old"
    assert box.take(NEVER) == "new"
    assert box.put(0, "newest") is None


def test_what_is_left_can_be_taken_after_closing_and_then_nothing():
    box = Mailboxes(1)
    box.put(0, 1)
    box.close(0)
    assert box.take(NEVER) == 1
    assert box.take(NEVER) is None


def test_closing_wakes_whoever_waits():
    box, taken = Mailboxes(1), []
    taker = threading.Thread(target=lambda: taken.append(box.take(NEVER)))
    taker.start()
    box.close(0)
    taker.join()
    assert taken == [None]


def test_any_of_the_ends_ends_the_wait():
    for which in range(2):
        box, taken, ends = Mailboxes(1), [], [threading.Event(), threading.Event()]
        taker = threading.Thread(target=lambda: taken.append(box.take(*ends)))  # noqa: B023
        taker.start()
        ends[which].set()
        taker.join()
        assert taken == [None]


@settings(max_examples=50, deadline=None)
@given(count=st.integers(1, 300))
def test_every_item_is_taken_or_given_back_and_the_last_is_taken(count):
    box, given_back = Mailboxes(1), []

    def capture():
        for item in range(count):
            if (replaced := box.put(0, item)) is not None:
                given_back.append(replaced)  # noqa: PERF401  what is put must be put one by one
        box.close(0)

    thread = threading.Thread(target=capture)
    thread.start()
    taken = []
    while (item := box.take(NEVER)) is not None:
        taken.append(item)
    thread.join()
    assert sorted(taken + given_back) == list(range(count))
    assert taken == sorted(taken)
    assert taken[-1] == count - 1


def test_boxes_take_turns_and_none_is_passed_over():
    boxes = Mailboxes(3)
    for box in (0, 2):
        boxes.put(box, f"a{box}")
    assert boxes.take(NEVER) == "a0"
    boxes.put(0, "b0")
    boxes.put(1, "b1")
    assert [boxes.take(NEVER) for _ in range(3)] == ["b1", "a2", "b0"]


def test_one_that_does_not_wait_gets_what_is_there_or_nothing():
    boxes = Mailboxes(2)
    assert boxes.take(NEVER, wait=False) is None
    boxes.put(1, "x")
    assert boxes.take(NEVER, wait=False) == "x"


def test_a_closed_box_leaves_the_others_open():
    boxes = Mailboxes(2)
    boxes.close(0)
    boxes.put(1, "x")
    assert boxes.take(NEVER) == "x"
    boxes.close(1)
    assert boxes.take(NEVER) is None
