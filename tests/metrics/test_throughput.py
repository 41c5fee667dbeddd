import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeresnet.metrics.throughput import Throughput

START_NS, AGE_NS = 10**12, 8_000_000


def rate_of(moments_s, at_once=1):
    """Of results that came at such moments, each 8 ms after its frame was captured."""
    found = Throughput(at_once)
    for moment in moments_s:
        done_ns = START_NS + int(moment * 1e9)
        found.add(done_ns - AGE_NS, done_ns)
    return found.per_second


@given(rate=st.integers(5, 400), seconds=st.integers(1, 10))
def test_an_even_stream_is_told_at_its_rate(rate, seconds):
    report = rate_of(i / rate for i in range(rate * seconds + 1))
    assert report == pytest.approx(rate, rel=0.01)


def test_a_slow_first_half_second_does_not_count_in_a_longer_run():
    report = rate_of([0, 0.2, 0.4, *(0.6 + i / 100 for i in range(101))])
    assert report == pytest.approx(100, rel=0.01)


@given(
    at_once=st.integers(1, 8),
    rounds=st.integers(2, 9),
    each_s=st.floats(0.01, 3),
    spread=st.floats(0, 0.9),
)
def test_frames_that_are_inferred_together_are_no_rate(at_once, rounds, each_s, spread):
    """Whether they come together or one after the other."""
    moments = [
        each_s * (round_ + spread * one / at_once)
        for round_ in range(rounds)
        for one in range(at_once)
    ]
    assert rate_of(moments, at_once) == pytest.approx(at_once / each_s, rel=0.01)


def test_a_run_that_is_hardly_longer_than_half_a_second_counts_as_a_whole():
    assert rate_of([0, 0.1, 0.2, 0.3, 0.4, 0.51, 0.6]) == pytest.approx(10)


def test_few_results_are_told_from_the_first_capture_on():
    assert rate_of([]) == 0
    assert rate_of([1.0]) == 0  # how long a frame takes is no rate
    assert rate_of([1.0, 1.5, 1.5], at_once=2) == pytest.approx(3 / 0.508)
