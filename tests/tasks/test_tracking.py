"""Ids stay with their things, and tell nothing that was not seen."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeresnet.core.labels import numbered
from edgeresnet.core.predictions import NOT_TRACKED, Detections
from edgeresnet.core.preprocess import Preprocess
from edgeresnet.tasks import make_follower, make_task
from edgeresnet.tasks.tracking import LOST_S, Tracker

FRAME_S = 0.04


def seen(*found):
    """Detections of (left, top, score, class), all 40 x 60."""
    xyxy = np.array([(x, y, x + 40, y + 60) for x, y, *_ in found], np.float32).reshape(-1, 4)
    scores = np.array([one[2] if len(one) > 2 else 0.9 for one in found], np.float32)
    kinds = np.array([one[3] if len(one) > 3 else 0 for one in found], np.int64)
    return Detections(xyxy, scores, kinds, ("thing",) * len(found))


def tracker(threshold=0.3, most=300):
    return Tracker(np.full(3, threshold), most)


def ids(tracker, frames, start=0):
    """Track ids of every frame; None is a frame without boxes."""
    return [
        tracker.follow(seen(*(found or ())), (start + n) * FRAME_S).track_ids.tolist()
        for n, found in enumerate(frames)
    ]


def test_what_moves_keeps_its_id():
    frames = [[(3 * n, 50), (400 - 4 * n, 200)] for n in range(50)]
    assert ids(tracker(), frames) == [[1, 2]] * 50


def test_things_that_cross_keep_their_ids_though_one_hides_the_other():
    frames = []
    for n in range(60):
        left, right = (5 * n, 50), (300 - 5 * n, 55)
        hidden = abs(left[0] - right[0]) < 30
        frames.append([left] if hidden else [left, right])
    found = ids(tracker(), frames)
    assert found[0] == found[-1] == [1, 2]
    assert {one for frame in found for one in frame} == {1, 2}


@pytest.mark.parametrize(("away_s", "same"), [(0.8 * LOST_S, True), (1.3 * LOST_S, False)])
@pytest.mark.parametrize("fps", [5, 25, 100])
def test_a_short_absence_is_counted_in_seconds_not_in_frames(fps, away_s, same):
    follower, moving = tracker(), [(60 * n / fps, 50) for n in range(3 * fps)]
    before = [follower.follow(seen(one), n / fps) for n, one in enumerate(moving[:fps])]
    start = fps + round(away_s * fps)
    for n in range(fps, start):
        assert len(follower.follow(seen(), n / fps)) == 0
    after = [follower.follow(seen(moving[n]), n / fps) for n in range(start, 3 * fps)]
    assert before[-1].track_ids.tolist() == [1]
    assert after[-1].track_ids.tolist() == [1 if same else 2]


@pytest.mark.parametrize("period_s", [0.5, 1.01, 2.0, 30.0])
def test_frames_that_come_seldom_are_followed_too(period_s):
    follower = tracker()
    found = [
        follower.follow(seen((2 * n, 50), (300, 50)), n * period_s).track_ids.tolist()
        for n in range(20)
    ]
    assert found == [[1, 2]] * 20


def test_between_seldom_frames_what_is_absent_is_forgotten():
    follower = tracker()
    frames = [[(0, 0)], [(0, 0)], [], [(0, 0)], [(0, 0)]]
    found = [
        follower.follow(seen(*one), 2.0 * n).track_ids.tolist() for n, one in enumerate(frames)
    ]
    assert found == [[1], [1], [], [NOT_TRACKED], [2]]


def test_a_faint_box_goes_on_with_a_track_but_begins_none():
    found = [[(0, 0)], [(2, 0, 0.15)], [(4, 0, 0.12), (200, 0, 0.25)], [(6, 0)], [(8, 0, 0.09)]]
    follower = tracker()
    shown = [follower.follow(seen(*one), n * FRAME_S) for n, one in enumerate(found)]
    assert [one.track_ids.tolist() for one in shown] == [[1]] * 4 + [[]]
    assert shown[1].scores.tolist() == pytest.approx([0.15])


def test_a_new_thing_gets_its_id_when_it_is_seen_again():
    frames = [[(0, 0)], [(0, 0), (200, 0)], [(0, 0), (202, 0)], [(0, 0), (204, 0)]]
    assert ids(tracker(), frames) == [[1], [1, -1], [1, 2], [1, 2]]


def test_what_was_seen_once_uses_up_no_id():
    frames = [[(0, 0)], [(0, 0), (200, 0)], [(0, 0)], [(0, 0), (100, 200)], [(0, 0), (100, 200)]]
    assert ids(tracker(), frames)[-1] == [1, 2]


def test_another_class_in_the_same_place_is_another_thing():
    frames = [[(0, 0, 0.9, 0)]] * 3 + [[(0, 0, 0.9, 1)]] * 3
    assert ids(tracker(), frames) == [[1], [1], [1], [-1], [2], [2]]


def test_each_class_is_sure_from_its_own_score():
    follower = Tracker(np.array([0.3, 0.8, 0.3]), 300)
    found = follower.follow(seen((0, 0, 0.5, 0), (200, 0, 0.5, 1)), 0.0)
    assert found.class_ids.tolist() == [0]


def test_no_more_boxes_are_shown_than_asked_for_and_the_best_are():
    follower = tracker(most=2)
    for n in range(3):
        found = follower.follow(seen((0, 0, 0.9), (100, 0, 0.8), (200, 0, 0.7)), n * FRAME_S)
        assert found.scores.tolist() == pytest.approx([0.9, 0.8])


def test_two_trackers_know_nothing_of_each_other():
    one, other = tracker(), tracker()
    ids(one, [[(0, 0), (100, 0)]] * 3)
    assert ids(other, [[(0, 0)]] * 2) == [[1], [1]]


frames = st.lists(
    st.lists(
        st.tuples(
            st.integers(0, 300), st.integers(0, 200), st.integers(1, 9), st.integers(0, 2)
        ).map(lambda b: (b[0], b[1], b[2] / 10, b[3])),
        max_size=8,
    ),
    max_size=12,
)


@settings(max_examples=80)
@given(frames=frames)
def test_whatever_is_seen_ids_are_unique_and_the_same_each_time(frames):
    one, other = tracker(), tracker()
    for n, found in enumerate(frames):
        given_on = one.follow(seen(*found), n * FRAME_S)
        again = other.follow(seen(*found), n * FRAME_S)
        assert np.array_equal(given_on.track_ids, again.track_ids)
        tracked = given_on.track_ids[given_on.track_ids >= 0].tolist()
        assert len(tracked) == len(set(tracked))
        sure = sorted((box[2] for box in found if box[2] >= 0.3), reverse=True)
        shown = np.sort(given_on.scores[given_on.scores >= np.float32(0.3)])[::-1]
        assert shown.tolist() == pytest.approx(sure)  # none is lost, and none invented


def test_the_task_keeps_faint_boxes_for_the_tracker_and_the_tracker_the_threshold():
    options = {"threshold": 0.5, "of_classes": {"class 1": 0.05}}
    task = make_task("detect", Preprocess(), numbered(2), tracked=True, top=2, **options)
    assert task.least.tolist() == pytest.approx([0.1, 0.05])
    assert task.top == 300
    follower = make_follower("detect", numbered(2), top=2, **options)
    found = [seen((0, 0, 0.4, 0), (100, 0, 0.06, 1), (200, 0, 0.6, 0), (200, 200, 0.55, 0))] * 2
    shown = [follower.follow(one, n * FRAME_S) for n, one in enumerate(found)]
    assert shown[1].scores.tolist() == pytest.approx([0.06, 0.6])
