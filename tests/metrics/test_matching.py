"""Better boxes choose first, a true box is found once, crowds and difficult ones do not count."""

import numpy as np
import pytest

from edgeresnet.metrics.matching import IOUS, MOST, match

BOX = (10, 10, 50, 50)
HALF = (10, 10, 50, 30)  # covers half of BOX: IoU 0.5
NEAR = (10, 10, 50, 46)  # IoU 0.9
FAR = (100, 100, 140, 140)


def only(picture, found):
    (one,) = match([picture], [found])
    return one


def test_a_box_counts_from_the_overlap_on_that_it_has(picture, detections):
    one = only(picture([BOX], [0]), detections([NEAR], [0.7], [0]))
    assert one.right[:, 0].tolist() == [iou <= 0.9 for iou in IOUS.round(2).tolist()]
    half = only(picture([BOX], [0]), detections([HALF], [0.7], [0]))
    assert half.right[:, 0].tolist() == [True] + [False] * 9


def test_the_better_of_two_boxes_finds_the_thing_even_if_it_lies_worse(picture, detections):
    one = only(picture([BOX], [0]), detections([BOX, NEAR], [0.6, 0.7], [0, 0]))
    assert one.scores.tolist() == pytest.approx([0.7, 0.6])
    assert one.right[0].tolist() == [True, False]
    assert one.right[9].tolist() == [False, True]  # beyond 0.9 the first does not find it


def test_a_box_of_another_class_or_on_another_picture_finds_nothing(picture, detections):
    there, nothing = picture([BOX], [0]), detections([], [], [])
    assert not only(there, detections([BOX], [0.9], [1])).right.any()
    (one,) = match([there, picture([], [])], [nothing, detections([BOX], [0.9], [0])])
    assert not one.right.any()
    assert one.pictures.tolist() == [1]
    assert one.true.tolist() == [1, 0]


def test_a_crowd_takes_any_number_of_boxes_by_the_share_of_them_it_covers(picture, detections):
    crowd = picture([(0, 0, 200, 200), FAR], [0, 0], crowd=[0])
    inside = [(10, 10, 30, 30), (40, 40, 60, 60), (180, 180, 240, 240)]
    one = only(crowd, detections(inside, [0.9, 0.8, 0.7], [0] * 3))
    assert one.ignored[0].tolist() == [True, True, False]
    assert one.true.tolist() == [1]


def test_a_difficult_thing_takes_one_box_and_none_that_finds_an_easy_one(picture, detections):
    there = picture([BOX, NEAR], [0, 0], difficult=[0])
    one = only(there, detections([BOX, BOX, BOX], [0.9, 0.8, 0.7], [0] * 3))
    assert one.right[0].tolist() == [True, False, False]
    assert one.ignored[0].tolist() == [False, True, False]
    assert one.true.tolist() == [1]


def test_a_class_of_which_all_are_set_aside_is_not_scored(picture, detections):
    there = picture([BOX, FAR], [0, 1], difficult=[0])
    assert [one.class_id for one in match([there], [detections([], [], [])])] == [1]


def test_of_very_many_boxes_the_best_hundred_of_each_class_count(picture, detections):
    count = MOST + 20
    boxes = [FAR] * (count - 1) + [BOX]
    scores = np.linspace(1, 0.5, count)
    assert not only(picture([BOX], [0]), detections(boxes, scores, [0] * count)).right.any()
    assert only(picture([BOX], [0]), detections(boxes[20:], scores[20:], [0] * MOST)).right.any()


def test_pictures_and_what_was_found_on_them_must_be_as_many(picture):
    with pytest.raises(ValueError, match="1 pictures, but boxes of 0"):
        match([picture([BOX], [0])], [])
