"""What INT8 changed on one picture: boxes in pairs where they are of one thing, vectors turned."""

from pathlib import Path

import numpy as np
import pytest

from edgeresnet.core.labels import Labels
from edgeresnet.core.predictions import Detections
from edgeresnet.datasets.annotated import Annotated
from edgeresnet.quantize.flips import box_flip, turns

NAMES = ("cat", "dog", "cow")
LABELS = Labels(NAMES)
HERE, NEAR, AWAY = (10, 10, 110, 110), (10, 10, 110, 85), (200, 10, 260, 60)
"""The second overlaps the first by an IoU of 0.75: one thing, but not the same box."""
FILE = Path("pictures/a.jpg")


def found(*boxes):
    """Detections of (box, class, score)."""
    xyxy, kinds, scores = zip(*boxes, strict=True) if boxes else ((), (), ())
    ids = np.array(kinds, np.int64)
    return Detections(
        np.array(xyxy, np.float32).reshape(-1, 4),
        np.array(scores, np.float32),
        ids,
        tuple(NAMES[i] for i in ids),
    )


def truth(*boxes):
    xyxy, kinds = zip(*boxes, strict=True) if boxes else ((), ())
    none = np.zeros(len(kinds), np.bool_)
    boxes = np.array(xyxy, np.float32).reshape(-1, 4)
    return Annotated(FILE, (320, 240), boxes, np.array(kinds, np.int64), none, none)


def changes(exact, rounded, true=None):
    flip = box_flip(FILE, found(*exact), found(*rounded), true)
    return [] if flip is None else flip.as_json(LABELS)["changes"]


def test_a_picture_with_the_same_boxes_is_no_flip():
    one = [(HERE, 0, 0.9), (AWAY, 1, 0.3)]
    assert box_flip(FILE, found(*one), found((HERE, 0, 0.8)), None) is None
    assert box_flip(FILE, found(), found(), None) is None


@pytest.mark.parametrize(
    ("exact", "rounded", "kind", "scores"),
    [
        pytest.param([(HERE, 0, 0.9)], [], "lost", (0.9, None), id="gone"),
        pytest.param([(HERE, 0, 0.9)], [(HERE, 0, 0.3)], "lost", (0.9, 0.3), id="faint"),
        pytest.param([(HERE, 0, 0.9)], [(HERE, 1, 0.3)], "lost", (0.9, None), id="other faint"),
        pytest.param([], [(HERE, 0, 0.9)], "new", (None, 0.9), id="new"),
        pytest.param([(HERE, 0, 0.2)], [(HERE, 0, 0.9)], "new", (0.2, 0.9), id="was faint"),
        pytest.param([(HERE, 0, 0.9)], [(NEAR, 0, 0.8)], "moved", (0.9, 0.8), id="moved"),
        pytest.param([(HERE, 0, 0.9)], [(HERE, 1, 0.8)], "renamed", (0.9, 0.8), id="renamed"),
    ],
)
def test_a_thing_is_one_change_with_what_both_sides_have_of_it(exact, rounded, kind, scores):
    (change,) = changes(exact, rounded)
    assert change["kind"] == kind
    told = [change[side] and change[side]["score"] for side in ("float", "int8")]
    assert told == pytest.approx(scores)


def test_things_apart_are_changes_of_their_own_the_surest_first():
    told = changes([(HERE, 0, 0.6)], [(AWAY, 0, 0.9)])
    assert [change["kind"] for change in told] == ["new", "lost"]


def test_a_new_box_is_the_partner_of_one_thing_only():
    told = changes([(HERE, 0, 0.9), (NEAR, 1, 0.8)], [(HERE, 2, 0.7)])
    assert [change["kind"] for change in told] == ["renamed", "lost"]


def test_a_sure_box_that_is_another_thing_is_no_partner():
    """Of two neighbours one is gone: the box that both overlap belongs to the other."""
    left, right, theirs = (0, 0, 100, 100), (37, 0, 137, 100), (31, 0, 133, 100)
    both, one = [(left, 0, 0.9), (right, 0, 0.8)], [(theirs, 0, 0.85)]
    for exact, rounded, kind in ((both, one, "lost"), (one, both, "new")):
        (change,) = changes(exact, rounded)
        assert change["kind"] == kind
        assert (change["float"] is None) == (kind == "new")


def test_the_box_of_the_same_class_is_preferred_as_the_partner():
    (moved, new) = changes([(HERE, 0, 0.9)], [(HERE, 1, 0.8), (NEAR, 0, 0.7)])
    assert (moved["kind"], moved["int8"]["label"]) == ("moved", "cat")
    assert (new["kind"], new["int8"]["label"]) == ("new", "dog")


def test_each_side_is_held_against_the_truth_where_there_is_one():
    exact, rounded = [(HERE, 0, 0.9), (AWAY, 2, 0.6)], [(HERE, 1, 0.8)]
    renamed, lost = changes(exact, rounded, truth((NEAR, 1)))
    assert (renamed["float"]["right"], renamed["int8"]["right"]) == (False, True)
    assert lost["float"]["right"] is False
    assert changes(exact, rounded, truth((AWAY, 2)))[1]["float"]["right"] is True
    assert changes(exact, rounded)[0]["float"]["right"] is None
    assert changes(exact, rounded, truth())[0]["float"]["right"] is False


def test_boxes_that_both_have_are_kept_beside_the_changes():
    flip = box_flip(FILE, found((HERE, 0, 0.9)), found((HERE, 0, 0.9), (AWAY, 1, 0.8)), None)
    assert flip.same.tolist() == [list(HERE)]
    assert flip.score == pytest.approx(0.8)
    told = flip.as_json(LABELS)
    assert (told["file"], told["same"], len(told["changes"])) == ("a.jpg", 1, 1)


def test_every_picture_is_a_turn_and_the_one_that_turned_most_is_first():
    exact = np.array([(1, 0), (1, 0), (1, 0)], np.float32)
    rounded = np.array([(2, 0), (0, 1), (1, 1)], np.float32)
    told = turns([Path(name) for name in "abc"], exact, rounded)
    assert [turn.as_json(LABELS) for turn in told] == [
        {"file": "b", "cosine": 0.0},
        {"file": "c", "cosine": 0.70711},
        {"file": "a", "cosine": 1.0},
    ]
