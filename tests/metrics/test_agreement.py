"""Two detectors agree on a sure box when the other has it, too: same class, same place."""

import pytest

from edgeresnet.metrics.agreement import same_boxes

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
