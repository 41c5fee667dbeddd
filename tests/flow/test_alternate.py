"""Sessions have their turns in every round, on the same pictures, and half of the runs count."""

import threading

import pytest

from edgeresnet.flow.alternate import FEWEST_ROUNDS, alternate, runs_per_second


class Ticks:
    """A clock that only runs of a session move."""

    def __init__(self):
        self.now_s = 0.0
        self.lock = threading.Lock()

    def __call__(self):
        return self.now_s

    def advance(self, seconds):
        with self.lock:
            self.now_s += seconds


class Timed:
    """A session that takes a time, longer where another ran just before it."""

    last = None

    def __init__(self, clock, seconds, log=None, cold_s=0.0):
        self.clock, self.seconds, self.log, self.cold_s = clock, seconds, log, cold_s

    def infer(self, feeds):
        cold_s = self.cold_s if Timed.last is not self else 0.0
        Timed.last = self
        self.clock.advance(self.seconds + cold_s)
        if self.log is not None:
            self.log.append((self.seconds, feeds))
        return {}


def test_times_are_of_the_second_run_whose_caches_are_warm():
    clock = Ticks()
    sessions = [Timed(clock, 0.008, cold_s=0.1), Timed(clock, 0.002, cold_s=0.1)]
    slow, fast = alternate(sessions, [0], 1.0, clock=clock)
    assert len(slow) == len(fast) >= FEWEST_ROUNDS
    assert slow == pytest.approx([8.0] * len(slow))
    assert fast == pytest.approx([2.0] * len(fast))


def test_all_see_the_same_picture_in_a_round_and_none_is_always_first():
    clock, log = Ticks(), []
    alternate([Timed(clock, s, log) for s in (1, 2)], ["a", "b", "c"], 0.1, clock=clock)
    rounds = [log[i : i + 4] for i in range(0, len(log), 4)]
    assert len(rounds) == FEWEST_ROUNDS
    for at, one in enumerate(rounds):
        assert {feeds for _, feeds in one} == {"abc"[at % 3]}
        assert [s for s, _ in one] == ([1, 1, 2, 2] if at % 2 == 0 else [2, 2, 1, 1])


def test_it_ends_in_time_and_tells_how_far_it_is():
    clock, told = Ticks(), []
    (times,) = alternate(
        [Timed(clock, 0.01)], [0], 1.0, clock=clock, progress=lambda *step: told.append(step)
    )
    assert len(times) == 50
    assert told[-1] == ("latency", 100, 100)


def test_runs_a_second_count_all_sessions():
    clock = Ticks()
    assert runs_per_second([Timed(clock, 0.01)], {}, 1.0, clock=clock) == pytest.approx(
        100, rel=0.02
    )


def test_an_error_in_a_thread_is_raised():
    class Broken:
        def infer(self, feeds):
            raise RuntimeError("gone")

    with pytest.raises(RuntimeError, match="gone"):
        runs_per_second([Broken(), Broken()], {}, 0.1)
