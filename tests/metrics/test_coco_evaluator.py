"""The evaluator's figures are those of the reference implementation, and so are our own."""

import numpy as np
import pytest

from edgeresnet.metrics.average_precision import figures
from edgeresnet.metrics.coco_evaluator import _rows, _table, evaluated
from edgeresnet.metrics.matching import match


def by_pycocotools(truth, found, class_ids):
    pytest.importorskip("pycocotools", reason="pycocotools is not installed")
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    true = COCO()
    true.dataset = _table(truth, class_ids)
    true.createIndex()
    evaluator = COCOeval(true, true.loadRes(_rows(found)), "bbox")
    evaluator.params.catIds = [class_id + 1 for class_id in class_ids]
    evaluator.evaluate()
    evaluator.accumulate()
    precision = evaluator.eval["precision"][:, :, :, 0, -1]
    return np.stack([precision.mean((0, 1)), precision[0].mean(0)], 1)


@pytest.mark.parametrize("seed", range(3))
def test_random_boxes_score_as_pycocotools_scores_them(seed, pictures, found_on):
    rng = np.random.default_rng(seed)
    truth = pictures(rng, 40)
    found = found_on(rng, truth)
    ids = [one.class_id for one in match(truth, found)]
    ours = evaluated(truth, found, ids)
    assert 0.02 < ours.mean() < 0.9
    np.testing.assert_allclose(ours, by_pycocotools(truth, found, ids), atol=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_our_own_matching_gives_the_evaluators_figures(seed, pictures, found_on):
    rng = np.random.default_rng(10 + seed)
    truth = pictures(rng, 60, classes=7)
    found = found_on(rng, truth, classes=7, blur=2.0 + seed)
    matches = match(truth, found)
    expected = 100 * evaluated(truth, found, [one.class_id for one in matches]).mean(0)
    assert figures(matches) == pytest.approx(expected.tolist(), abs=1e-9)


def test_a_class_of_which_nothing_was_found_scores_0(picture, detections):
    truth = [picture([(0, 0, 9, 9), (20, 20, 60, 60)], [3, 5])]
    some = detections([(0, 0, 9, 9)], [0.9], [3])
    assert evaluated(truth, [some], [3, 5]).tolist() == [[1, 1], [0, 0]]
    none = detections([], [], [])
    assert evaluated(truth, [none], [3, 5]).tolist() == [[0, 0], [0, 0]]
