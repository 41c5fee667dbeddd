"""A detector is scored against the truth and against another one, in pixels of the pictures."""

import json
import sys

import pytest

from edgeresnet.cli import EXTRAS
from edgeresnet.core.errors import ModelError, UsageError
from edgeresnet.datasets.annotated import Fault
from edgeresnet.evaluate.stage import evaluate


def test_one_that_sees_right_scores_100_percent(detectors, coloured):
    report = evaluate(detectors("right"), images=coloured)
    assert report.pictures == 10
    assert (report.score.map.value, report.score.map50.value) == (100, 100)
    assert (report.boxes, report.crowd, report.difficult) == (30, 0, 0)
    assert report.mapping == "names, 3 of 3"
    assert report.model == "right on fake"
    assert report.compared is None
    assert not report.faults.counts


def test_boxes_are_held_against_the_truth_in_pixels_of_the_picture(detectors, coloured):
    """A network of half the size sees the same; a shift of 3 pixels leaves an IoU of 0.6."""
    half = evaluate(detectors("half", size=(32, 32)), images=coloured)
    assert half.score.map50.value == 100
    shifted = evaluate(detectors("shifted", shift=3.0), images=coloured)
    assert shifted.score.map50.value == 100
    assert shifted.score.map.value == pytest.approx(30)  # found at 0.5, 0.55 and 0.6 only


def test_a_class_that_is_missed_scores_0_and_is_named(detectors, coloured):
    report = evaluate(detectors("blind", miss=("green",)), images=coloured)
    assert report.score.map50.value == pytest.approx(200 / 3)
    assert [(one["name"], one["map50"], one["boxes"]) for one in report.as_json()["per_class"]] == [
        ("red", 100, 10),
        ("green", 0, 10),
        ("blue", 100, 10),
    ]


def test_faint_boxes_count_and_those_under_the_least_score_do_not(detectors, coloured):
    assert evaluate(detectors("faint", score=0.06), images=coloured).score.map50.value == 100
    assert evaluate(detectors("fainter", score=0.04), images=coloured).score.map50.value == 0


def test_with_a_reference_boxes_are_compared_and_points_lost_are_paired(detectors, coloured):
    detectors("right")
    report = evaluate(
        detectors("blind", miss=("green",)), images=coloured, reference="right"
    ).compared
    assert report.reference == "right on fake"
    assert report.boxes == 50  # 30 of the one, 20 of the other
    assert report.agreement.value == pytest.approx(80)
    assert report.agreement.low < 80 < report.agreement.high
    assert report.score.map50.value == 100
    assert [drop.value for drop in report.drop] == pytest.approx([100 / 3, 100 / 3])


def test_one_agrees_with_itself(detectors, coloured):
    compared = evaluate(detectors("right"), images=coloured, reference="right").compared
    assert compared.agreement.value == 100
    assert [drop.value for drop in compared.drop] == [0, 0]


def test_pictures_without_boxes_give_the_agreement_alone(detectors, coloured):
    detectors("right")
    pictures = coloured / "JPEGImages"
    report = evaluate(detectors("shifted", shift=3.0), images=pictures, reference="right")
    assert report.score is None
    assert report.compared.agreement.value == 0  # an IoU of 0.6 is another place
    assert report.compared.drop is None
    assert "map" not in report.as_json()
    with pytest.raises(UsageError, match="no Pascal VOC folder"):
        evaluate("right", images=pictures)


def test_boxes_that_nobody_is_sure_of_give_no_agreement(detectors, coloured):
    report = evaluate(detectors("faint", score=0.3), images=coloured, reference="faint")
    assert report.compared.boxes == 0
    assert report.compared.agreement is None


def test_faults_are_counted_in_the_report_or_refused(detectors, coloured):
    xml = coloured / "Annotations/3.xml"
    xml.write_text(xml.read_text().replace("GREEN", "mauve"))
    (coloured / "JPEGImages/5.png").unlink()
    report = evaluate(detectors("right"), images=coloured)
    assert report.pictures == 9
    assert report.boxes == 26
    assert report.faults.counts == {Fault.UNKNOWN_CLASS: 1, Fault.MISSING_PICTURE: 1}
    faults = report.as_json()["annotations"]["faults"]
    assert faults["unknown_class"] == {"count": 1, "first": "3.png: 'mauve'"}
    with pytest.raises(UsageError, match="missing picture: 5"):
        evaluate("right", images=coloured, strict=True)


def test_a_picture_whose_header_alone_is_sound_is_left_out_when_it_is_read(detectors, coloured):
    path = coloured / "JPEGImages/2.png"
    path.write_bytes(path.read_bytes()[:60])
    report = evaluate(detectors("right"), images=coloured, reference="right")
    assert report.pictures == 9
    assert report.score.map50.value == 100
    assert report.faults.counts == {Fault.UNREADABLE_PICTURE: 1}


def test_a_set_without_a_box_of_the_networks_classes_cannot_be_scored(detectors, coloured):
    (coloured / "list.txt").write_text("1\n")
    xml = coloured / "Annotations/1.xml"
    xml.write_text(xml.read_text().replace("<xmax>", "<xmax>-9"))
    with pytest.raises(UsageError, match="no class of"):
        evaluate(detectors("right"), images=coloured, annotations=coloured / "list.txt")


def test_boxes_that_do_not_count_leave_nothing_to_be_found(detectors, coloured):
    for xml in (coloured / "Annotations").iterdir():
        aside = xml.read_text().replace("<bndbox>", "<difficult>1</difficult><bndbox>")
        xml.write_text(aside)
    with pytest.raises(UsageError, match="all 30 boxes are crowd or difficult") as caught:
        evaluate(detectors("right"), images=coloured)
    assert "not crowd or difficult" in caught.value.hint


def test_a_set_of_which_no_picture_with_a_box_is_readable_cannot_be_scored(detectors, coloured):
    for path in (coloured / "JPEGImages").iterdir():
        path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(UsageError, match="no box on the pictures that are readable"):
        evaluate(detectors("right"), images=coloured)


@pytest.mark.parametrize(
    ("main", "other", "match"),
    [
        ({}, {"task": "classify"}, "is for 'classify'"),
        ({}, {"names": ("red", "green")}, "2 classes, .* has 3"),
    ],
)
def test_what_does_not_say_the_same_is_not_compared(detectors, coloured, main, other, match):
    detectors("other", **other)
    with pytest.raises(ModelError, match=match):
        evaluate(detectors("main", **main), images=coloured, reference="other")


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (("blue", "green", "red"), "its classes in another order than main: class 0 is 'blue'"),
        (("red", "green", "azure"), "other classes than main: class 2 is 'azure' instead of 'blue"),
    ],
)
def test_a_reference_that_means_something_else_by_a_class_is_refused(
    detectors, coloured, names, says
):
    detectors("other", names=names)
    with pytest.raises(UsageError, match=says) as caught:
        evaluate(detectors("main"), images=coloured, reference="other")
    assert "same order" in caught.value.hint


@pytest.mark.parametrize(
    "names", [("class 0", "class 1", "class 2"), ("2", "1", "0"), ("Red", "GREEN", "blue_")]
)
def test_names_that_say_nothing_and_other_spellings_are_compared(detectors, coloured, names):
    detectors("other", names=names)
    compared = evaluate(detectors("main"), images=coloured, reference="other").compared
    assert compared.agreement.value == 100


@pytest.mark.parametrize("options", [{"annotations": "x.json"}, {"strict": True}])
def test_options_of_detectors_are_refused_for_a_classifier(detectors, coloured, options):
    with pytest.raises(UsageError, match=f"--{next(iter(options))} is for detectors"):
        evaluate(detectors("other", task="classify"), images=coloured, **options)


def test_the_report_is_json_with_the_fields_that_scripts_rely_on(detectors, coloured):
    detectors("right")
    report = evaluate(detectors("shifted", shift=3.0), images=coloured, reference="right")
    found = json.loads(json.dumps(report.as_json()))
    for name in (
        "map",
        "map50",
        "agreement",
        "reference_map",
        "reference_map50",
        "drop_map",
        "drop_map50",
    ):
        assert set(found[name]) == {"value", "low", "high"}
    assert set(found["per_class"][0]) == {"class_id", "name", "boxes", "map", "map50"}
    assert set(found["annotations"]) == {"boxes", "crowd", "difficult", "faults"}
    assert found["pictures"] == 10
    assert found["boxes_compared"] == 60


def test_every_picture_is_told_to_the_progress(detectors, coloured):
    told = []
    evaluate(
        detectors("right"),
        images=coloured,
        reference="right",
        progress=lambda *step: told.append(step),
    )
    assert told == [(what, n, 10) for what in ("evaluate", "reference") for n in range(1, 11)]


def test_an_absent_evaluator_is_missed_before_the_work(detectors, coloured, monkeypatch):
    monkeypatch.setitem(sys.modules, "faster_coco_eval", None)
    told = []
    with pytest.raises(ModuleNotFoundError) as caught:
        evaluate(detectors("right"), images=coloured, progress=lambda *step: told.append(step))
    assert EXTRAS[caught.value.name] == "evaluate"
    assert not told
