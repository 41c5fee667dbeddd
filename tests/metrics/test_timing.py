"""Percentiles of times, kept to one percent however many there are."""

import math
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeresnet.metrics.timing import Durations

ONE_PERCENT = 0.01
times = st.lists(st.floats(0.001, 99_000), min_size=1, max_size=60)


def durations(values):
    found = Durations()
    for value in values:
        found.add(value)
    return found


def nearest_rank(values, percent):
    """The definition: the smallest value that ``percent`` of all do not exceed."""
    return sorted(values)[max(1, math.ceil(len(values) * percent / 100)) - 1]


@given(values=times, percent=st.floats(0.1, 100))
def test_every_percentile_is_right_to_one_percent(values, percent):
    expected = nearest_rank(values, percent)
    assert durations(values).percentile(percent) == pytest.approx(expected, rel=ONE_PERCENT)


def test_percentiles_of_many_times_are_right_to_one_percent(rng):
    values = rng.lognormal(2, 1, 20_000)
    found = durations(values)
    for percent in (1, 50, 90, 99):
        expected = np.percentile(values, percent, method="inverted_cdf")
        assert found.percentile(percent) == pytest.approx(expected, rel=ONE_PERCENT)
    assert found.total == 20_000
    assert found.sum_ms == pytest.approx(values.sum())


@given(values=times)
def test_the_report_is_in_order_and_its_maximum_exact(values):
    report = durations(values).as_json()
    assert report["p50"] <= report["p90"] <= report["p99"] <= report["max"]
    assert report["max"] == round(max(values), 3)


def test_no_times_give_zeros():
    assert Durations().as_json() == {"p50": 0.0, "p90": 0.0, "p99": 0.0, "max": 0.0}


def test_times_outside_the_histogram_are_counted_at_its_ends():
    found = durations([0.0, -1.0, 1e-9, 5e6])
    assert found.total == 4
    assert found.percentile(50) <= 0.00101
    assert found.max_ms == 5e6


def test_memory_does_not_grow():
    found = durations([3.0])
    before = sys.getsizeof(found.counts)
    for i in range(10_000):
        found.add(0.01 * i)
    assert sys.getsizeof(found.counts) == before
