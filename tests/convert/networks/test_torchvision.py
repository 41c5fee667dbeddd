"""Anchors, decoding and both stages are torchvision's, whose results tests/golden keeps as text.

`tools/torchvision_parity.py --fixture` wrote them: of heads and levels that are drawn, the same
numbers here.
"""

import json
from pathlib import Path

import drawn_detectors
import numpy as np
import pytest

KEPT = json.loads(
    (Path(__file__).parents[2] / "golden/torchvision_detectors.json").read_text(encoding="utf-8")
)


@pytest.fixture(scope="module", params=drawn_detectors.SPECS)
def both(request):
    """What torchvision gave, and what ours gives."""
    return KEPT[request.param], drawn_detectors.ours(request.param)


def rows(found):
    """A box a row, its score and class weighing as much as pixels."""
    columns = (
        np.array(found["boxes"]),
        1000 * np.array(found["scores"])[:, None],
        1000 * np.array(found["class_ids"])[:, None],
    )
    return np.concatenate(columns, 1)


def test_anchors_are_torchvisions(both):
    theirs, ours = both
    assert ours["anchors"] == theirs["anchors"]


def test_boxes_scores_and_classes_are_torchvisions(both):
    """Whatever the order, which is that of scores that may be nearly equal."""
    theirs, ours = map(rows, both)
    assert len(ours) == len(theirs) == drawn_detectors.BOXES
    apart = np.abs(ours[:, None] - theirs).max(2)
    assert apart.min(0).max() < 0.02
    assert apart.min(1).max() < 0.02
