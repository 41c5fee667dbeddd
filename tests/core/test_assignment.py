from itertools import permutations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from edgeresnet.core.assignment import best_pairs

few = array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=5)
gains = arrays(np.float64, few, elements=st.integers(-2, 6).map(float))
"""Small whole numbers: ties everywhere."""
dense = arrays(np.float32, few, elements=st.floats(0, 1, width=32))


def brute(gain):
    """The highest sum over all ways to pair, found by trying them."""
    gain = np.maximum(gain, 0)
    if gain.shape[0] > gain.shape[1]:
        gain = gain.T
    n, m = gain.shape
    return max(gain[range(n), list(way)].sum() for way in permutations(range(m), n))


@settings(max_examples=400)
@given(gain=gains | dense)
def test_no_other_pairs_gain_more(gain):
    rows, columns = best_pairs(gain)
    assert len(set(rows.tolist())) == len(rows)
    assert len(set(columns.tolist())) == len(columns)
    assert (gain[rows, columns] > 0).all()
    assert abs(gain[rows, columns].sum() - brute(gain)) < 1e-5


def test_a_greedy_choice_is_undone_when_the_sum_gains_by_it():
    rows, columns = best_pairs(np.array([[0.9, 0.8], [0.8, 0.1]]))
    assert (rows.tolist(), columns.tolist()) == ([0, 1], [1, 0])


def test_who_gains_nothing_stays_alone():
    rows, columns = best_pairs(np.array([[0.0, -1.0, 0.0], [0.0, 0.5, 0.0]]))
    assert (rows.tolist(), columns.tolist()) == ([1], [1])


def test_many_are_paired_exactly_too():
    rng = np.random.default_rng(3)
    truth = rng.permutation(120)
    gain = rng.random((120, 120)) * 0.5
    gain[np.arange(120), truth] += 0.75  # each row's own column beats all others
    assert best_pairs(gain)[1].tolist() == truth.tolist()
