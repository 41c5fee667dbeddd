"""How many times as fast, with an interval that the noise of a shared machine does not move."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeresnet.metrics.ratio import speedup

ROUNDS = 40
TRIALS = 400
COVERED = 0.92  # of 95 %: 400 trials have a standard error of 1.1 points

positive = st.lists(st.floats(0.01, 1000), min_size=1, max_size=50)


def test_the_same_factor_in_every_round_has_no_interval():
    found = speedup([10.0, 20, 90], [5.0, 10, 45])
    assert (found.value, found.low, found.high) == (2, 2, 2)


def test_what_slows_the_whole_machine_for_a_while_cancels(rng):
    slow = np.where(np.arange(ROUNDS) < ROUNDS // 2, 30.0, 300.0)
    found = speedup(slow, slow / 3)
    assert found.low == pytest.approx(found.high) == pytest.approx(3)


def test_one_round_that_was_disturbed_decides_nothing():
    slow, fast = [20.0] * ROUNDS, [10.0] * ROUNDS
    fast[3] = 5000
    found = speedup(slow, fast)
    assert found.value == found.low == found.high == 2


@given(times=positive)
def test_the_interval_holds_the_value(times):
    found = speedup(times, times[::-1])
    assert found.low <= found.value <= found.high


def test_the_interval_holds_the_truth_as_often_as_it_says(rng):
    held = 0
    for _ in range(TRIALS):
        found = speedup(1.3 * rng.lognormal(0, 0.2, ROUNDS), rng.lognormal(0, 0.2, ROUNDS))
        held += found.low <= 1.3 <= found.high
    assert held / TRIALS >= COVERED


def test_it_is_told_in_json_and_in_words():
    found = speedup([1.0, 1, 1], [1.0, 2, 4])
    assert found.as_json() == {"value": 0.5, "low": 0.25, "high": 1.0}
    assert str(found) == "0.50 (0.25 to 1.00)"
