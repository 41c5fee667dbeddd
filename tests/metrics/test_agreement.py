"""Two detectors agree on a sure box when the other has it, too: same class, same place.

Two classifiers agree on a label, two embedders as far as the angle between their vectors goes.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeresnet.core.predictions import Classification, Embedding, Label
from edgeresnet.metrics.agreement import agreement, cosines, nearest, same_boxes

BOX = (10, 10, 110, 110)


@pytest.mark.parametrize(
    ("other", "score", "kind", "agreed"),
    [
        (BOX, 0.9, 0, [True, True]),
        (BOX, 0.45, 0, [True]),  # a little less sure: asked for on one side only
        (BOX, 0.35, 0, [False]),
        (BOX, 0.9, 1, [False, False]),
        ((10, 10, 110, 92), 0.9, 0, [True, True]),  # IoU 0.82
        ((10, 10, 110, 88), 0.9, 0, [False, False]),  # IoU 0.78
    ],
)
def test_the_other_has_it_or_not(detections, other, score, kind, agreed):
    one = detections([BOX], [0.8], [0])
    assert same_boxes([one], [detections([other], [score], [kind])]).tolist() == agreed


def test_boxes_of_either_that_the_other_lacks_count_against_both(detections):
    one = detections([BOX, (200, 10, 220, 30)], [0.9, 0.6], [0, 0])
    other = detections([BOX], [0.9], [0])
    assert sorted(same_boxes([one], [other])) == sorted(same_boxes([other], [one]))
    assert same_boxes([one], [other]).tolist() == [True, False, True]


def test_faint_boxes_are_not_asked_for_and_pictures_are_not_mixed(detections):
    none, faint = detections([], [], []), detections([BOX], [0.5], [0])
    assert not len(same_boxes([faint], [none]))
    sure = detections([BOX], [0.9], [0])
    assert same_boxes([sure, none], [none, sure]).tolist() == [False, False]


def test_each_kind_of_prediction_is_compared_in_its_own_way(detections):
    one, other = (Classification((Label(i, str(i), 0.9), Label(2, "2", 0.1))) for i in (0, 1))
    found = agreement([one, one], [one, other])
    assert (found.of, found.count, found.percent.value) == ("labels", 2, 50)
    box, moved = (detections([at], [0.9], [0]) for at in (BOX, (10, 10, 110, 88)))
    found = agreement([box, box], [box, moved])
    assert (found.of, found.count, found.percent.value) == ("boxes", 4, 50)
    vectors = [Embedding(np.array(v, np.float32)) for v in ((3, 0), (0, 2))]
    found = agreement(vectors, vectors[::-1])
    assert (found.of, found.count, found.percent.value) == ("vectors", 2, 0)


def test_where_nobody_is_sure_of_a_box_there_is_nothing_to_disagree_on(detections):
    found = agreement([detections([], [], [])], [detections([BOX], [0.4], [0])])
    assert (found.count, found.percent.value, found.percent.low) == (0, 100, 0)


def test_the_cosine_is_of_the_angle_whatever_the_lengths():
    one = np.array([(1, 0), (1, 1), (0, 0), (0, 0), (2, 1)], np.float32)
    other = np.array([(5, 0), (-2, -2), (0, 0), (3, 4), (-1, 2)], np.float32)
    assert cosines(one, other).tolist() == pytest.approx([1, -1, 1, 0, 0])


@given(seed=st.integers(0, 999), count=st.integers(2, 40))
def test_the_nearest_is_never_the_picture_itself_and_none_is_nearer(seed, count):
    vectors = np.random.default_rng(seed).normal(size=(count, 3)).astype(np.float32)
    table = np.stack([cosines(np.repeat(row[None], count, 0), vectors) for row in vectors])
    np.fill_diagonal(table, -2)
    found = nearest(vectors)
    assert (found != np.arange(count)).all()
    np.testing.assert_allclose(table[np.arange(count), found], table.max(1), atol=1e-6)


def test_the_nearest_is_found_in_parts_as_in_one(monkeypatch):
    vectors = np.random.default_rng(4).normal(size=(23, 5)).astype(np.float32)
    whole = nearest(vectors)
    monkeypatch.setattr("edgeresnet.metrics.agreement._ROWS", 7)
    assert nearest(vectors).tolist() == whole.tolist()
