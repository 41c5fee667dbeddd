"""``evaluate`` of a detector as it is typed: figures, classes and what was wrong in the boxes."""

import numpy as np
import pytest

from edgeresnet.datasets.annotated import Fault, Faults
from edgeresnet.evaluate import stage
from edgeresnet.evaluate.detection import Compared, DetectionReport
from edgeresnet.metrics.accuracy import Interval
from edgeresnet.metrics.average_precision import AveragePrecision, ClassPrecision

SCORE = AveragePrecision(
    Interval(41.5, 40.0, 43.0),
    Interval(62.25, 60.0, 64.0),
    (ClassPrecision(1, 120, 35.0, 55.5), ClassPrecision(2, 7, 48.0, 69.0)),
    np.zeros((2, 3)),
    127,
)


@pytest.fixture
def answering(monkeypatch):
    """``evaluate`` that gives this report; what it was asked is returned."""

    def answer(score=SCORE, compared=None, faults=None):
        asked = {}
        report = DetectionReport(
            "det.bundle on fake",
            64,
            "names, 2 of 2" if score else "",
            ("person", "cat", "dog"),
            score,
            127,
            3,
            4,
            faults or Faults(),
            compared,
        )

        def evaluate(model, *, progress, **options):
            asked.update(options, model=str(model))
            return report

        monkeypatch.setattr(stage, "evaluate", evaluate)
        return asked

    return answer


def test_options_of_detectors_reach_the_stage(edgeresnet, answering):
    asked = answering()
    told = edgeresnet(
        "evaluate", "det.bundle", "--images", "val", "--annotations", "val.json", "--strict"
    )
    assert told.code == 0
    assert asked["model"] == "det.bundle"
    assert str(asked["annotations"]) == "val.json"
    assert asked["strict"] is True


def test_a_person_gets_figures_and_classes(edgeresnet, answering):
    answering()
    told = edgeresnet("evaluate", "det.bundle", "--images", "val")
    lines = told.out.splitlines()
    assert lines[0] == "det.bundle on fake, 64 pictures"
    assert any("mAP@[.5:.95]" in line and "41.50 (40.00 to 43.00)" in line for line in lines)
    assert any(line.split() == ["cat", "120", "35.00", "55.50"] for line in lines)
    assert "agreement" not in told.out
    assert "in the annotations" not in told.out
    assert "classes found by names, 2 of 2" in told.err


def test_a_reference_adds_its_figures_and_the_points_lost(edgeresnet, answering):
    lost = Interval(0.5, 0.1, 0.9), Interval(0.75, 0.2, 1.3)
    answering(compared=Compared("det.onnx on fake", 210, Interval(99.0, 97.0, 99.7), SCORE, lost))
    told = edgeresnet("evaluate", "det.bundle", "--images", "val", "--reference", "det.onnx")
    assert "points of mAP@.5 lost" in told.out
    assert "0.75 (0.20 to 1.30)" in told.out
    assert "agreement on 210 sure boxes" in told.out
    assert "mAP@.5 of the reference" in told.out


def test_faults_are_listed_with_their_number_and_first_place(edgeresnet, answering):
    faults = Faults()
    for number in range(3):
        faults.add(Fault.ZERO_AREA, f"{number}.xml, object 1")
    answering(faults=faults)
    told = edgeresnet("evaluate", "det.bundle", "--images", "val")
    assert any(
        line.split() == ["zero", "area", "3", "0.xml,", "object", "1"]
        for line in told.out.splitlines()
    )


def test_a_script_gets_one_object(edgeresnet, answering):
    answering()
    told = edgeresnet("evaluate", "det.bundle", "--images", "val", "--json")
    assert told.json["map50"] == {"value": 62.25, "low": 60.0, "high": 64.0}
    assert told.json["per_class"][1]["name"] == "dog"
    assert told.json["annotations"]["crowd"] == 3


def test_pictures_without_boxes_show_the_agreement_alone(edgeresnet, answering):
    answering(score=None, compared=Compared("det.onnx on fake", 0, None))
    told = edgeresnet("evaluate", "det.bundle", "--images", "val", "--reference", "det.onnx")
    assert told.code == 0
    assert "mAP" not in told.out
