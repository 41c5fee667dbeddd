from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeresnet.core.backoff import CAP_S, HEALTHY_S, LADDER_S, Backoff


def test_the_ladder_is_climbed_and_never_left():
    backoff, rungs = Backoff(), []
    for _ in range(40):
        rungs.append(backoff.rung_s)
        wait_s = backoff.failed()
        assert 0.8 * rungs[-1] <= wait_s <= 1.2 * rungs[-1]
    assert rungs == [1] * 5 + [5] * 5 + [10] * 5 + [30] * 25
    assert (sum(LADDER_S), CAP_S) == (80, 30)


def test_devices_do_not_come_back_in_the_same_moment():
    waits = {Backoff(_random=Random(seed)).failed() for seed in range(20)}
    assert len(waits) == 20


def test_having_worked_for_long_the_next_failure_is_the_first():
    backoff = Backoff()
    for _ in range(12):
        backoff.failed(after_s=HEALTHY_S - 1)
    assert backoff.rung_s == 10
    backoff.failed(after_s=HEALTHY_S)
    assert backoff.failures == 1


@given(failures=st.integers(0, 30), scale=st.floats(1e-6, 1))
def test_what_only_a_hand_mends_takes_the_last_rung_at_once(failures, scale):
    backoff = Backoff(scale=scale, failures=failures)
    assert backoff.failed(slow=True) == pytest.approx(CAP_S * scale, rel=0.21)
