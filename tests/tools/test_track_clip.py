"""The tracker keeps its promise on a drawn clip, and the count itself is right."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

import track_clip

from edgeresnet.core.predictions import Detections
from edgeresnet.datasets.procedural.clips import ClipScene

FPS = 15


@pytest.fixture(scope="module")
def clip():
    return list(track_clip.clip(14, seed=11, fps=FPS, size=(240, 180)))


def test_the_tracker_seldom_switches_where_one_that_knows_one_frame_often_does(clip):
    ours, naive = track_clip.compare(clip, FPS)
    assert ours.things == naive.things > 500
    assert naive.switches > 40  # there is something to win
    assert ours.switches <= 4
    assert ours.mota > naive.mota + 0.05
    assert ours.mota > 0.75  # 8 % are not detected at all, nor is what is more than half hidden


def test_tracking_is_the_same_each_time(clip):
    assert track_clip.compare(clip, FPS) == track_clip.compare(clip, FPS)


def made(*rows, ids):
    """A frame with things in a row, and boxes on some of them: (thing, place, id)."""
    boxes = np.array([(50 * x, 0, 50 * x + 40, 40) for _, x in rows], np.float32).reshape(-1, 4)
    n = len(rows)
    scene = ClipScene(
        np.zeros((60, 300, 3), np.uint8),
        0,
        boxes,
        np.zeros(n, np.int64),
        np.array([thing for thing, _ in rows], np.int64),
    )
    at = np.array([(50 * x, 0, 50 * x + 40, 40) for x, _ in ids], np.float32).reshape(-1, 4)
    found = Detections(
        at,
        np.full(len(ids), 0.9, np.float32),
        np.zeros(len(ids), np.int64),
        ("x",) * len(ids),
        np.array([one for _, one in ids], np.int64),
    )
    return scene, np.ones(n), found


def counted(*frames):
    return track_clip.tally(list(frames), lambda found, _moment_s: found, 10)


def test_what_is_found_under_the_same_id_is_right():
    frame = made((7, 0), (8, 1), ids=[(0, 1), (1, 2)])
    assert counted(frame, frame) == track_clip.Tally(4, 0, 0, 0)
    assert counted(frame, frame).mota == 1


def test_misses_false_boxes_and_switches_are_counted():
    first = made((7, 0), (8, 1), ids=[(0, 1), (1, 2)])
    missed = made((7, 0), (8, 1), ids=[(0, 1)])
    false = made((7, 0), (8, 1), ids=[(0, 1), (1, 2), (3, 3)])
    swapped = made((7, 0), (8, 1), ids=[(0, 2), (1, 1)])
    assert counted(first, missed) == track_clip.Tally(4, 1, 0, 0)
    assert counted(first, false) == track_clip.Tally(4, 0, 1, 0)
    assert counted(first, swapped) == track_clip.Tally(4, 0, 0, 2)
    assert counted(first, missed, swapped).mota == pytest.approx(1 - 3 / 6)


def test_a_thing_that_was_away_is_switched_when_it_comes_back_as_another():
    here, away = made((7, 0), ids=[(0, 1)]), made(ids=[])
    again = made((7, 2), ids=[(2, 5)])
    assert counted(here, away, again).switches == 1


def test_what_lies_behind_is_seen_in_part():
    boxes = np.array([(0, 0, 100, 100), (50, 0, 150, 100), (200, 0, 210, 10)], np.float32)
    assert track_clip.seen_shares(boxes) == pytest.approx([0.5, 1, 1], abs=0.05)
