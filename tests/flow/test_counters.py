import threading
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from edgeresnet.flow.counters import Counters

REASONS = ("newer", "stale", "rate")
fates = st.lists(st.sampled_from(["infer", "pending", *REASONS]), max_size=30)
lost = st.dictionaries(st.sampled_from(["corrupt", "unreadable"]), st.integers(0, 5))


def live(counters, frames):
    """Each frame captured, then what becomes of it."""
    for fate in frames:
        counters.capture()
        if fate == "infer":
            counters.infer()
        elif fate != "pending":
            counters.drop(fate)


@settings(max_examples=60, deadline=None)
@given(threads=st.lists(fates, min_size=1, max_size=4), lost=lost)
def test_the_identity_holds_for_every_interleaving_of_every_thread(threads, lost):
    counters = Counters()
    running = [threading.Thread(target=live, args=(counters, frames)) for frames in threads]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    counters.settle(lost)
    expected = Counter(fate for frames in threads for fate in frames)
    dropped = {name: expected[name] for name in REASONS if expected[name]}
    dropped |= {"stopped": expected["pending"]} if expected["pending"] else {}
    dropped |= {name: count for name, count in lost.items() if count}
    assert counters.balanced
    assert counters.inferred == expected["infer"]
    assert counters.dropped == dropped
    assert counters.captured == expected.total() + sum(lost.values())


@given(before=fates, after=fates, lost=lost)
def test_what_is_counted_after_the_end_is_not_taken_in(before, after, lost):
    counters = Counters()
    live(counters, before)
    counters.settle(lost)
    found = counters.as_json()
    live(counters, after)
    counters.settle({"corrupt": 9})
    assert counters.as_json() == found


@given(runs=st.lists(fates, max_size=4))
def test_the_sum_of_runs_balances_when_each_does(runs):
    whole = Counters()
    for frames in runs:
        part = Counters()
        live(part, frames)
        part.settle({})
        whole.include(part)
    assert whole.balanced
    assert whole.captured == sum(map(len, runs))


def test_frames_under_way_do_not_balance_yet():
    counters = Counters()
    counters.capture()
    assert not counters.balanced
    counters.infer()
    assert counters.balanced


def test_what_is_read_is_a_copy():
    counters = Counters()
    live(counters, ["rate"])
    counters.as_json()["dropped"]["rate"] = 7
    assert counters.dropped == {"rate": 1}
