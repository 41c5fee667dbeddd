import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeresnet.flow.ordered import ordered

PATIENCE_S = 5


def until(condition):
    """Wait for what other threads bring about."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "it never came about"
        time.sleep(0.001)


def slow(pauses):
    """A worker that pauses before each item, as ``pauses`` says in turn."""
    pauses = list(pauses)
    turn = iter(range(10**9))

    def work(item):
        time.sleep(pauses[next(turn) % len(pauses)])
        return item * 10

    return work


paces = st.lists(st.sampled_from([0, 0, 0.0004, 0.003]), min_size=1, max_size=4)


@settings(max_examples=40, deadline=None)
@given(
    workers=st.lists(paces, min_size=1, max_size=5),
    count=st.integers(0, 30),
    ahead=st.none() | st.integers(1, 12),
)
def test_results_come_in_the_order_of_the_items_however_fast_the_workers_are(workers, count, ahead):
    results = ordered([slow(pauses) for pauses in workers], iter(range(count)), ahead=ahead)
    assert list(results) == [item * 10 for item in range(count)]


@settings(max_examples=40, deadline=None)
@given(
    workers=st.lists(paces, min_size=1, max_size=5),
    count=st.integers(0, 20),
    bad=st.integers(0, 20),
    in_worker=st.booleans(),
)
def test_an_error_comes_in_its_turn_and_on_the_callers_thread(workers, count, bad, in_worker):
    error = ArithmeticError("the very one")

    def items():
        for item in range(count):
            if item == bad and not in_worker:
                raise error
            yield item

    def failing(work):
        def run(item):
            if item == bad and in_worker:
                raise error
            return work(item)

        return run

    got, caught = [], None
    try:
        got.extend(ordered([failing(slow(pauses)) for pauses in workers], items()))
    except ArithmeticError as raised:
        caught = raised
    # extend() on an exception keeps what came before it
    assert got == [item * 10 for item in range(min(bad, count))]
    assert (caught is error) == (bad < count)


def test_of_two_errors_the_one_of_the_earlier_item_is_raised():
    first_may_fail = threading.Event()

    def work(item):
        if item == 0:
            first_may_fail.wait(PATIENCE_S)
        else:
            first_may_fail.set()
        raise ValueError(item)

    with pytest.raises(ValueError, match="0"):
        list(ordered([work, work], iter(range(2))))


@pytest.mark.parametrize(("workers", "ahead", "taken"), [(1, None, 2), (3, None, 6), (2, 5, 5)])
def test_no_more_is_taken_ahead_of_the_consumer_than_was_agreed(workers, ahead, taken):
    begun = []

    def items():
        for item in range(1000):
            begun.append(item)
            yield item

    results = ordered([lambda item: item] * workers, items(), ahead=ahead)
    for consumed in range(1, 4):
        next(results)
        until(lambda: len(begun) == consumed + taken)  # noqa: B023  called at once
        time.sleep(0.02)  # time enough for one more, if there were one
        assert len(begun) == consumed + taken
    results.close()
    assert len(begun) == 3 + taken


def test_each_worker_has_a_thread_of_its_own_and_items_are_taken_one_at_a_time():
    threads = [set(), set(), set()]
    taking = threading.Lock()

    def items():
        for item in range(60):
            assert taking.acquire(blocking=False), "two threads take at once"
            time.sleep(0.0002)
            taking.release()
            yield item

    def worker(seen):
        def work(item):
            seen.add(threading.current_thread().name)
            time.sleep(0.001)
            return item

        return work

    assert list(ordered([worker(seen) for seen in threads], items())) == list(range(60))
    assert all(len(seen) == 1 for seen in threads)
    assert len(set().union(*threads)) == 3
    assert threading.current_thread().name not in set().union(*threads)


def test_closing_ends_the_threads_after_the_items_they_are_at():
    finished = []

    def work(item):
        time.sleep(0.01)
        finished.append(item)
        return item

    before = threading.active_count()
    results = ordered([work, work], iter(range(1000)))
    assert next(results) == 0
    assert threading.active_count() == before + 2
    results.close()
    assert threading.active_count() == before
    assert len(finished) < 10


def test_nothing_starts_before_the_first_result_is_asked_for():
    before, begun = threading.active_count(), []
    results = ordered([str], (begun.append(i) for i in range(3)))
    assert threading.active_count() == before
    results.close()
    assert begun == []


def test_without_workers_it_is_an_error_and_not_a_wait():
    with pytest.raises(ValueError, match="nobody"):
        next(ordered([], iter([1])))
