"""Each fault of a box is named and counted; what can be mended is."""

from pathlib import Path

import numpy as np
import pytest

from edgeresnet.core.errors import UsageError
from edgeresnet.datasets.annotated import Annotated, Box, Fault, Faults, annotated

SIZE = (100, 50)
INF, NAN = float("inf"), float("nan")


def mended(*boxes, faults=None):
    faults = Faults() if faults is None else faults
    found = annotated(
        Path("a.jpg"), SIZE, [Box(xyxy, 0, f"box {n}") for n, xyxy in enumerate(boxes)], faults
    )
    return found.boxes.tolist(), faults.counts


@pytest.mark.parametrize(
    ("box", "fault"),
    [
        ((10, 10, 10, 20), Fault.ZERO_AREA),
        ((10, 20, 30, 20), Fault.ZERO_AREA),
        ((30, 10, 10, 20), Fault.NEGATIVE_SIZE),
        ((10, 30, 20, 20), Fault.NEGATIVE_SIZE),
        ((10, NAN, 20, 20), Fault.NOT_FINITE),
        ((10, 10, INF, 20), Fault.NOT_FINITE),
        ((100, 10, 120, 20), Fault.BOX_OUTSIDE),
        ((10, -30, 20, 0), Fault.BOX_OUTSIDE),
    ],
)
def test_a_box_that_cannot_be_mended_is_left_out(box, fault):
    assert mended(box, (1, 2, 3, 4)) == ([[1, 2, 3, 4]], {fault: 1})


def test_a_box_partly_outside_is_cut_and_counted():
    boxes, counts = mended((-5, 10, 20, 60), (90, 0, 100, 50))
    assert boxes == [[0, 10, 20, 50], [90, 0, 100, 50]]
    assert counts == {Fault.BOX_CUT: 1}


def test_rounded_numbers_at_the_edge_are_no_fault():
    boxes, counts = mended((-0.04, 0, 100.03, 50))
    assert boxes == [[0, 0, 100, 50]]
    assert not counts


def test_a_box_said_twice_is_kept_once():
    assert mended((1, 2, 3, 4), (1, 2, 3, 4), (1, 2, 3, 5)) == (
        [[1, 2, 3, 4], [1, 2, 3, 5]],
        {Fault.DUPLICATE_BOX: 1},
    )


def test_strict_refuses_the_first_fault_by_name():
    with pytest.raises(UsageError, match="zero area: box 1: 5, 5, 5, 9") as caught:
        mended((1, 2, 3, 4), (5, 5, 5, 9), (NAN, 0, 1, 1), faults=Faults(strict=True))
    assert caught.value.exit_code == 2
    assert "--strict" in caught.value.hint


def test_the_report_says_how_often_and_where_first():
    faults = Faults()
    mended((5, 5, 5, 9), (-1, 2, 3, 4), (6, 5, 6, 9), faults=faults)
    assert faults.as_json() == {
        "box_cut": {"count": 1, "first": "box 1: -1, 2, 3, 4 of a picture of 100 x 50"},
        "zero_area": {"count": 2, "first": "box 0: 5, 5, 5, 9"},
    }


def test_fields_of_different_lengths_cannot_be():
    none = np.zeros(0, bool)
    with pytest.raises(ValueError, match="disagree"):
        Annotated(Path("a"), SIZE, np.zeros((2, 4), np.float32), np.zeros(2, np.int64), none, none)
