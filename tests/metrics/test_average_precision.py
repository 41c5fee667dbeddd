"""mAP and its intervals, on cases that can be counted by hand, and on pictures drawn again."""

import numpy as np
import pytest

from edgeresnet.core.errors import UsageError
from edgeresnet.metrics.accuracy import Z95, Interval
from edgeresnet.metrics.average_precision import (
    FEW,
    RECALLS,
    average_precision,
    figures,
    paired_drop,
    resampled,
)
from edgeresnet.metrics.matching import match

BOXES = [(10, 10, 50, 50), (60, 60, 90, 90), (120, 10, 180, 70), (200, 100, 260, 200)]
WRONG = (0, 200, 20, 230)


def test_all_found_exactly_is_100_percent_and_nothing_found_0(picture, detections):
    truth = [picture(BOXES, [0, 0, 1, 1])] * 5
    right = average_precision(truth, [detections(BOXES, [0.9] * 4, [0, 0, 1, 1])] * 5)
    assert right.map.value == right.map50.value == right.map50.high == 100
    assert [(one.class_id, one.boxes, one.map) for one in right.per_class] == [
        (0, 10, 100),
        (1, 10, 100),
    ]
    none = average_precision(truth, [detections([], [], [])] * 5)
    assert none.map.value == none.map50.low == 0


def test_a_wrong_box_before_the_right_ones_lowers_precision(picture, detections):
    """Right, wrong, right of four: precision 1 to a recall of 1/4, then 2/3 to one of 1/2."""
    found = detections([BOXES[0], WRONG, BOXES[1]], [0.9, 0.8, 0.7], [0] * 3)
    score = average_precision([picture(BOXES, [0] * 4)], [found])
    quarter, half = np.sum(RECALLS <= 0.25), np.sum(RECALLS <= 0.5)
    expected = (quarter + (half - quarter) * 2 / 3) / 101
    assert score.map50.value == pytest.approx(100 * expected)
    assert score.map.value == pytest.approx(100 * expected)  # the boxes lie exactly


def test_the_mean_is_over_classes_whatever_their_number_of_boxes(picture, detections):
    truth = [picture(BOXES, [0, 0, 0, 7])]
    found = [detections(BOXES[:3], [0.9] * 3, [0] * 3)]
    assert average_precision(truth, found).map50.value == pytest.approx(50)


def test_the_interval_holds_the_value_and_narrows_with_more_pictures(pictures, found_on):
    rng = np.random.default_rng(0)
    truth = pictures(rng, 320)
    found = found_on(rng, truth, blur=2.0)
    few = average_precision(truth[:40], found[:40], resamples=200)
    many = average_precision(truth, found, resamples=200)
    for score in (few, many):
        for figure in (score.map, score.map50):
            assert 0 < figure.low < figure.value < figure.high < 100
    assert 2 < few.map50.half_width / many.map50.half_width < 4.5  # about the root of 8


@pytest.mark.slow
def test_the_interval_holds_the_figure_of_all_pictures_of_the_kind(pictures, found_on):
    """Of 40 sets of 100 pictures; by chance alone 38 are expected."""
    rng = np.random.default_rng(1)
    truth = pictures(rng, 2000, classes=3)
    found = found_on(rng, truth, classes=3, blur=2.0)
    _, all_50 = figures(match(truth, found))
    held = 0
    for _ in range(40):
        some = rng.choice(len(truth), 100, replace=False)
        score = average_precision([truth[i] for i in some], [found[i] for i in some], resamples=100)
        held += score.map50.low <= all_50 <= score.map50.high
    assert held >= 33


def test_drawing_again_is_scoring_the_set_that_holds_a_picture_several_times(pictures, found_on):
    rng = np.random.default_rng(2)
    truth = pictures(rng, 12)
    found = found_on(rng, truth)
    drawn = resampled(match(truth, found), 5, seed=3)
    weights = np.random.default_rng(3).multinomial(12, np.full(12, 1 / 12), 5)
    for row, (one, other) in zip(weights, drawn.T, strict=True):
        places = np.repeat(np.arange(12), row)
        again = figures(match([truth[i] for i in places], [found[i] for i in places]))
        assert (one, other) == pytest.approx(again, abs=1e-9)


def test_the_same_seed_gives_the_same_interval(pictures, found_on):
    rng = np.random.default_rng(4)
    truth = pictures(rng, FEW)
    found = found_on(rng, truth)
    one, same, other = (
        average_precision(truth, found, resamples=50, seed=seed) for seed in (1, 1, 2)
    )
    assert one.map == same.map
    assert one.map.value == other.map.value
    assert one.map.low != other.map.low


def test_the_paired_interval_of_a_drop_is_narrower_than_either_figures(pictures, found_on):
    rng = np.random.default_rng(5)
    truth = pictures(rng, 150)
    found = found_on(rng, truth, blur=2.0)
    fewer = [boxes.only(np.flatnonzero(rng.random(len(boxes)) > 0.05)) for boxes in found]
    before, after = (average_precision(truth, f, resamples=200) for f in (found, fewer))
    drop, drop50 = paired_drop(before, after)
    assert drop50.value == pytest.approx(before.map50.value - after.map50.value)
    assert drop.low <= drop.value <= drop.high
    assert 0 < drop50.half_width < 0.7 * before.map50.half_width
    none, _ = paired_drop(before, before)
    assert none.value == 0
    assert none.high == -none.low == pytest.approx(100 * Z95 / (before.things + 2))


@pytest.mark.parametrize("count", [1, 4, FEW - 1, FEW, 400])
def test_however_easy_the_pictures_are_no_interval_is_a_point(picture, detections, count):
    """Wilson's of n right ones, and Agresti and Min's of n pairs alike."""
    truth = [picture(BOXES, [0, 0, 1, 1])] * count
    n = count if count < FEW else 4 * count
    for found, value in ((BOXES, 100), ([], 0)):
        boxes = detections(found, [0.9] * len(found), [0, 0, 1, 1][: len(found)])
        score = average_precision(truth, [boxes] * count, resamples=50)
        other = 100 * Z95**2 / (n + Z95**2)
        low, high = (100 - other, 100) if value else (0, other)
        for figure in (score.map, score.map50):
            assert figure == Interval(value, pytest.approx(low), pytest.approx(high))
        for drop in paired_drop(score, score):
            least = 100 * Z95 / (n + 2)
            assert drop == Interval(0, pytest.approx(-least), pytest.approx(least))


def test_of_one_picture_little_is_known_whatever_is_found(picture, detections):
    found = detections(BOXES[:3], [0.9] * 3, [0, 0, 1])
    score = average_precision([picture(BOXES, [0, 0, 1, 1])], [found])
    assert score.map50.value == pytest.approx(75, abs=1)
    assert score.map50.half_width > 30


def test_of_many_ordinary_pictures_the_draws_alone_make_the_interval(pictures, found_on):
    rng = np.random.default_rng(6)
    truth = pictures(rng, FEW)
    score = average_precision(truth, found_on(rng, truth, blur=2.0), resamples=200)
    for figure, draws in zip((score.map, score.map50), score.resampled, strict=True):
        assert figure.half_width == pytest.approx(Z95 * draws.std())


def test_figures_of_different_resamples_are_no_pair(picture, detections):
    truth, found = [picture(BOXES, [0] * 4)], [detections(BOXES, [0.9] * 4, [0] * 4)]
    one, other = (average_precision(truth, found, resamples=n) for n in (10, 11))
    with pytest.raises(ValueError, match="no pair"):
        paired_drop(one, other)


def test_nothing_to_be_found_cannot_be_scored(picture, detections):
    with pytest.raises(UsageError, match="no box on the pictures that are readable: nothing"):
        average_precision([picture([], [])], [detections([], [], [])])
    aside = picture(BOXES, [0] * 4, crowd=[0, 1], difficult=[2, 3])
    with pytest.raises(UsageError, match="all 8 boxes are crowd or difficult on the pictures"):
        average_precision([aside] * 2, [detections(BOXES, [0.9] * 4, [0] * 4)] * 2)
