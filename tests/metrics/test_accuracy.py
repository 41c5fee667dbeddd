"""Figures are right, and their intervals hold the truth as often as they say."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgeresnet.metrics.accuracy import (
    Interval,
    mean_of,
    paired_drop,
    pictures_needed,
    proportion,
    same_label,
    top_k,
)

DRAWS = 4000
bools = st.integers(1, 60).flatmap(lambda n: arrays(np.bool_, n))
pairs = st.integers(1, 60).flatmap(lambda n: st.tuples(arrays(np.bool_, n), arrays(np.bool_, n)))
logits = st.tuples(st.integers(1, 6), st.integers(1, 9)).flatmap(
    lambda shape: arrays(np.float32, shape, elements=st.floats(-9, 9, width=32), unique=True)
)


@given(hits=bools)
def test_a_proportion_lies_in_its_interval_and_in_percent(hits):
    found = proportion(hits)
    assert found.value == pytest.approx(100 * hits.mean())
    assert 0 <= found.low <= found.value <= found.high <= 100
    assert found.high > found.low  # some doubt is always left
    assert found.half_width == pytest.approx((found.high - found.low) / 2)


def test_wilsons_interval_is_the_published_one():
    """Newcombe (1998), table I: 81 of 263 gives 0.2553 to 0.3662, 0 of 20 gives 0 to 0.1611."""
    found = proportion(np.arange(263) < 81)
    assert (round(found.low, 2), round(found.high, 2)) == (25.53, 36.62)
    none = proportion(np.zeros(20, np.bool_))
    assert (none.low, round(none.high, 2)) == (0.0, 16.11)
    whole = proportion(np.ones(20, np.bool_))
    assert (round(whole.low, 2), whole.high) == (83.89, 100.0)


@pytest.mark.parametrize(("share", "pictures"), [(0.75, 100), (0.9, 500), (0.98, 200), (0.5, 30)])
def test_95_of_100_wilson_intervals_hold_the_truth(rng, share, pictures):
    hits = rng.random((DRAWS, pictures)) < share
    held = [i.low <= 100 * share <= i.high for i in map(proportion, hits)]
    assert 0.93 < np.mean(held) < 0.975  # counts are whole: coverage moves around 95 %


@pytest.mark.parametrize(
    ("lost", "won", "pictures"), [(0.02, 0.01, 500), (0.03, 0.03, 200), (0.1, 0.02, 100)]
)
def test_95_of_100_paired_intervals_hold_the_truth(rng, lost, won, pictures):
    """The before-and-after of each picture is one draw: kept, lost, won."""
    fate = rng.random((DRAWS, pictures))
    right = rng.random((DRAWS, pictures)) < 0.8
    before = np.where(fate < lost + won, fate < lost, right)
    after = np.where(fate < lost + won, fate >= lost, right)
    truth = 100 * (lost - won)
    found = [paired_drop(b, a) for b, a in zip(before, after, strict=True)]
    held = [i.low <= truth <= i.high for i in found]
    assert 0.93 < np.mean(held) < 0.985
    assert np.mean([i.value for i in found]) == pytest.approx(truth, abs=0.1)


@given(pair=pairs)
def test_a_drop_is_the_difference_and_turns_its_sign_with_its_sides(pair):
    before, after = pair
    found, back = paired_drop(before, after), paired_drop(after, before)
    assert found.value == pytest.approx(100 * (before.mean() - after.mean()))
    assert (back.value, back.low) == pytest.approx((-found.value, -found.high))
    assert found.low < found.high


def test_only_pictures_that_changed_widen_the_interval(rng):
    before = rng.random(400) < 0.7
    after = before.copy()
    same = paired_drop(before, after)
    after[:20] = ~after[:20]
    changed = paired_drop(before, after)
    assert same.half_width < 0.5 < changed.half_width
    lonely = proportion(before)
    assert changed.half_width < lonely.half_width  # pairing is what makes the gate sharp


@given(logits=logits, k=st.integers(1, 12), data=st.data())
def test_top_k_is_what_sorting_gives(logits, k, data):
    classes = logits.shape[1]
    truth = np.array(
        data.draw(st.lists(st.integers(0, classes - 1), min_size=len(logits), max_size=len(logits)))
    )
    order = np.argsort(-logits, axis=1, kind="stable")
    expected = [t in row[:k] for t, row in zip(truth, order, strict=True)]
    assert top_k(logits, truth, k).tolist() == expected


def test_no_class_is_never_among_the_best():
    assert not top_k(np.eye(4, dtype=np.float32), np.full(4, -1), 1).any()
    assert not top_k(np.eye(4, dtype=np.float32), np.full(4, -1), 5).any()


@given(logits=logits)
def test_a_network_agrees_with_itself_whatever_the_scale(logits):
    assert same_label(logits, logits * 2).all()
    assert same_label(logits, -logits).all() == (logits.shape[1] == 1)


@given(
    pictures=st.integers(10, 400),
    changed=st.sampled_from([0.0, 0.02, 0.3]),
    bar=st.sampled_from([0.5, 2.0, 10.0]),
)
def test_the_pictures_asked_for_would_narrow_the_interval(pictures, changed, bar):
    """As many wrong as before, of ``changed`` of the pictures."""

    def lost(count):
        before, after = np.ones(count, np.bool_), np.ones(count, np.bool_)
        several = round(changed * count / 2)
        before[:several] = after[several : 2 * several] = False
        return paired_drop(before, after)

    needed = pictures_needed(lost(pictures), pictures, bar)
    for count in (pictures, needed):  # of few pictures no such share can change
        assume(abs(2 * round(changed * count / 2) / count - changed) <= 0.05 * changed)
    assert lost(needed).half_width == pytest.approx(bar / 2, rel=0.1)


def test_a_mean_is_held_by_its_interval_as_often_as_it_says():
    rng = np.random.default_rng(5)
    draws = (mean_of(rng.normal(3, 2, 30), -99, 99) for _ in range(DRAWS))
    held = np.mean([found.low <= 3 <= found.high for found in draws])
    assert 0.92 < held < 0.96  # of 30 values Student's law gives 94.0 %


def test_a_mean_keeps_within_its_scale_and_of_one_value_says_nothing():
    found = mean_of(np.array([99.0, 100.0]), -100, 100)
    assert (found.value, found.high) == (99.5, 100)
    assert found.low < 99
    alone = mean_of(np.array([99.0]), -100, 100)
    assert (alone.low, alone.value, alone.high) == (-100, 99, 100)


def test_no_bar_asks_for_no_more_pictures():
    assert pictures_needed(Interval(0, -1, 1), 50, 0.0) == 50


def test_an_interval_is_told_in_numbers_and_in_words():
    found = Interval(91.23456, 88.0, 94.00049)
    assert found.as_json() == {"value": 91.235, "low": 88.0, "high": 94.0}
    assert str(found) == "91.23 (88.00 to 94.00)"
