"""Overlaps and suppression agree with what one would write down first."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeresnet.core.boxes import areas, best_of_each, clip, iou_matrix

side = st.integers(0, 24)
box = st.tuples(side, side, side, side).map(
    lambda b: (min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]), max(b[1], b[3]))
)
"""On whole numbers, so that overlaps of exactly a half and empty boxes come up."""
score = st.integers(0, 10).map(lambda n: n / 10)
found = st.lists(st.tuples(box, score, st.integers(0, 2)), max_size=40)


def as_boxes(boxes):
    return np.array(boxes, np.float32).reshape(-1, 4)


def naive_iou(a, b):
    width = max(0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0, min(a[3], b[3]) - max(a[1], b[1]))
    size = [(c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)]
    covered = sum(size) - width * height
    return width * height / covered if covered else 0.0


def naive_suppression(found, same, most):
    left = [i for i, (b, _, _) in enumerate(found) if naive_iou(b, b)]
    left.sort(key=lambda i: -found[i][1])
    kept = []
    while left and len(kept) < most:
        best = left.pop(0)
        kept.append(best)
        left = [
            i
            for i in left
            if found[i][2] != found[best][2] or naive_iou(found[i][0], found[best][0]) <= same
        ]
    return kept


@given(one=st.lists(box, max_size=8), other=st.lists(box, max_size=8))
def test_the_matrix_holds_the_iou_of_every_pair(one, other):
    expected = np.array([[naive_iou(a, b) for b in other] for a in one]).reshape(
        len(one), len(other)
    )
    assert np.allclose(iou_matrix(as_boxes(one), as_boxes(other)), expected, atol=1e-6)


@settings(max_examples=300)
@given(found=found, same=st.sampled_from([0.0, 0.25, 0.5, 1.0]), most=st.integers(1, 12))
def test_of_each_thing_the_best_box_stays_as_the_naive_way_keeps_it(found, same, most):
    kept = best_of_each(
        as_boxes([b for b, _, _ in found]),
        np.array([s for _, s, _ in found], np.float32),
        np.array([c for _, _, c in found], np.int64),
        same=same,
        most=most,
    )
    assert kept.tolist() == naive_suppression(found, same, most)


def test_many_boxes_with_broken_coordinates_are_suppressed_alike():
    rng = np.random.default_rng(5)
    corner, shape = rng.uniform(0, 300, (400, 2)), rng.uniform(10, 200, (400, 2))
    boxes = np.concatenate([corner, corner + shape], 1).astype(np.float32)
    scores, classes = rng.random(400, np.float32), rng.integers(0, 3, 400)
    found = list(zip(boxes.astype(float).tolist(), scores.tolist(), classes.tolist(), strict=True))
    kept = best_of_each(boxes, scores, classes, same=0.5)
    assert kept.tolist() == naive_suppression(found, 0.5, 300)
    assert 50 < len(kept) <= 300


def test_no_boxes_are_left_of_none():
    none = best_of_each(as_boxes([]), np.zeros(0, np.float32), np.zeros(0, np.int64))
    assert none.tolist() == []


@given(boxes=st.lists(st.tuples(*[st.floats(-50, 90, width=32)] * 4), max_size=6))
def test_a_clipped_box_lies_within_and_one_from_outside_is_empty(boxes):
    boxes = as_boxes(boxes)
    inside = clip(boxes, (10, 20, 30, 40))
    assert (inside[:, ::2] >= 10).all()
    assert (inside[:, ::2] <= 40).all()
    assert (inside[:, 1::2] >= 20).all()
    assert (inside[:, 1::2] <= 60).all()
    outside = (boxes[:, 2] <= 10) | (boxes[:, 0] >= 40) | (boxes[:, 3] <= 20) | (boxes[:, 1] >= 60)
    assert (areas(inside)[outside] == 0).all()
    within = as_boxes([(12, 25, 30, 50)])
    assert np.array_equal(clip(within, (10, 20, 30, 40)), within)


def test_sides_in_the_wrong_order_make_no_area():
    assert areas(as_boxes([(5, 0, 0, 5), (5, 5, 0, 0), (0, 0, 2, 3)])).tolist() == [0, 0, 6]
