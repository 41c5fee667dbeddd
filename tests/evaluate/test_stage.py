import json

import cv2
import numpy as np
import pytest

from edgeresnet.backends import BACKENDS
from edgeresnet.core.contract import read_graph
from edgeresnet.core.errors import ModelError, UsageError
from edgeresnet.core.pictures import read_picture
from edgeresnet.core.preprocess import fit
from edgeresnet.evaluate.stage import evaluate
from edgeresnet.flow.predictor import open_predictor
from edgeresnet.testing import FakeBackend, grey, plugged, write_bundle
from edgeresnet.testing import backend as testing

SIDE = 8


@pytest.fixture
def greys(tmp_path):
    """A fake bundle whose class is the mean grey of the whole picture."""
    with plugged(BACKENDS, "fake", backend=FakeBackend()):
        yield write_bundle(tmp_path / "grey.bundle", classes=256, size=(SIDE, SIDE))


@pytest.fixture
def middles(tmp_path):
    """Another, which sees the middle rows only."""
    return write_bundle(tmp_path / "middle.bundle", classes=256, size=(SIDE // 2, SIDE))


def write(path, middle, outside=None):
    """A picture of one grey, or of another one above and below its middle."""
    pixels = grey(middle, (SIDE, SIDE))
    if outside is not None:
        pixels[: SIDE // 4] = pixels[-SIDE // 4 :] = outside
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)


def csv_of(folder, pictures, classes=None):
    """Write ``(middle, outside)`` pictures, and the CSV file that names them."""
    lines = ["file" if classes is None else "file,class_index"]
    for n, (middle, outside) in enumerate(pictures):
        write(folder / f"{n}.png", middle, outside)
        lines.append(f"{n}.png" if classes is None else f"{n}.png,{classes[n]}")
    (folder / "pictures.csv").write_text("\n".join(lines) + "\n")
    return folder / "pictures.csv"


def test_top_1_and_top_5_are_counted_on_known_labels(greys, tmp_path):
    """Right; second best; fifth best; far off: one each, and five more that are right."""
    values = [50, 60, 70, 80, 90, 91, 92, 93, 94]
    classes = [50, 61, 72, 200, 90, 91, 92, 93, 94]
    images = csv_of(tmp_path, [(value, None) for value in values], classes)
    report = evaluate(greys, images=images)
    assert report.pictures == 9
    assert report.top1.value == pytest.approx(100 * 6 / 9)
    assert report.top5.value == pytest.approx(100 * 8 / 9)
    assert report.top1.low < report.top1.value < report.top1.high
    assert report.mapping == "class_index column"
    assert report.model == "grey.bundle on fake"
    assert report.agreement is None


def test_with_a_reference_each_picture_is_compared(greys, middles, tmp_path):
    """Of ten pictures the two see three differently; the model is right on one of those less.

    One more is second best to both, and one is far off.
    """
    pictures = [(100, None)] * 7 + [(100, 180)] * 3
    classes = [100] * 5 + [101, 7] + [100, 100, 140]
    images = csv_of(tmp_path, pictures, classes)
    report = evaluate(greys, images=images, reference=middles)
    assert report.reference == "middle.bundle on fake"
    assert report.agreement.value == pytest.approx(70)
    assert report.top1.value == pytest.approx(60)
    assert report.top5.value == pytest.approx(70)
    assert report.reference_top1.value == pytest.approx(70)
    assert report.reference_top5.value == pytest.approx(80)
    assert report.drop.value == pytest.approx(10)
    assert report.drop.low < 10 < report.drop.high


def test_a_model_agrees_with_itself(greys, tmp_path):
    images = csv_of(tmp_path, [(value, None) for value in range(0, 250, 25)])
    report = evaluate(greys, images=images, reference=greys)
    assert report.agreement.value == 100
    assert report.agreement.low < 100  # ten pictures prove no more


def test_pictures_without_classes_give_the_agreement_alone(greys, middles, tmp_path):
    images = csv_of(tmp_path, [(10, None), (20, 250)])
    report = evaluate(greys, images=images, reference=middles)
    assert report.agreement.value == 50
    assert (report.top1, report.top5, report.reference_top1, report.drop) == (None,) * 4
    assert report.mapping == ""
    assert "top1" not in report.as_json()


def test_pictures_without_classes_and_no_reference_are_refused(greys, tmp_path):
    images = csv_of(tmp_path, [(10, None)])
    with pytest.raises(UsageError, match="have no classes") as caught:
        evaluate(greys, images=images)
    assert "--reference" in caught.value.hint


@pytest.mark.parametrize(
    ("folders", "mapping"), [(("class 10", "class 20"), "names"), (("b", "a"), "class map map.csv")]
)
def test_how_the_folders_got_their_classes_is_said(greys, tmp_path, folders, mapping):
    for folder, value in zip(folders, (10, 20), strict=True):
        write(tmp_path / "in" / folder / "x.png", value)
    (tmp_path / "map.csv").write_text("b,10\na,class 20\n")
    class_map = tmp_path / "map.csv" if mapping.startswith("class map") else None
    report = evaluate(greys, images=tmp_path / "in", class_map=class_map)
    assert report.mapping == mapping
    assert report.top1.value == 100


def test_sorted_order_is_taken_only_when_nothing_else_fits_and_is_said_aloud(tmp_path):
    with plugged(BACKENDS, "fake", backend=FakeBackend()):
        bundle = write_bundle(tmp_path / "b", classes=2)
        write(tmp_path / "in/night/x.png", 0)
        write(tmp_path / "in/sun/x.png", 255)
        report = evaluate(bundle, images=tmp_path / "in")
        assert "SORTED ORDER" in report.mapping
        assert report.top1.value == 100
        write(tmp_path / "in/zenith/x.png", 255)
        with pytest.raises(UsageError, match="is no class of this network"):
            evaluate(bundle, images=tmp_path / "in")


def test_pictures_that_cannot_be_read_are_left_out_and_named(greys, tmp_path):
    images = csv_of(tmp_path, [(10, None), (20, None), (30, None)], [10, 20, 99])
    (tmp_path / "1.png").write_bytes(b"no picture")
    report = evaluate(greys, images=images, reference=greys)
    assert report.pictures == 2
    assert report.top1.value == report.reference_top1.value == 50
    assert [path.name for path in report.unreadable] == ["1.png"]
    (tmp_path / "0.png").write_bytes(b"")
    (tmp_path / "2.png").write_bytes(b"x")
    with pytest.raises(UsageError, match="none of 3 pictures is readable"):
        evaluate(greys, images=images)


def test_a_reference_of_other_classes_is_refused(greys, tmp_path):
    other = write_bundle(tmp_path / "other.bundle", classes=10)
    with pytest.raises(ModelError, match=r"10 classes, .* has 256"):
        evaluate(greys, images=csv_of(tmp_path, [(1, None)], [1]), reference=other)


def test_values_that_are_not_finite_are_an_error_and_never_a_label(greys, tmp_path, monkeypatch):
    real = testing.brightness_logits

    def logits(pictures, classes):
        found = real(pictures, classes)
        return found * np.nan if pictures.max() == 11 else found

    monkeypatch.setattr(testing, "brightness_logits", logits)
    with pytest.raises(ModelError, match="not finite"):
        evaluate(greys, images=csv_of(tmp_path, [(10, None), (11, None)], [10, 11]))


def test_every_picture_is_told_to_the_progress(greys, tmp_path):
    told = []
    images = csv_of(tmp_path, [(value, None) for value in range(6)], list(range(6)))
    evaluate(greys, images=images, reference=greys, progress=lambda *step: told.append(step))
    assert [step for step in told if step[0] == "evaluate"] == [
        ("evaluate", n, 6) for n in range(1, 7)
    ]
    assert sum(step[0] == "reference" for step in told) == 6


def test_the_report_is_json_with_the_fields_that_scripts_rely_on(greys, middles, tmp_path):
    images = csv_of(tmp_path, [(10, None), (20, None)], [10, 20])
    (tmp_path / "1.png").write_bytes(b"x")
    report = json.loads(json.dumps(evaluate(greys, images=images, reference=middles).as_json()))
    for name in ("top1", "top5", "agreement", "drop", "reference_top1", "reference_top5"):
        assert set(report[name]) == {"value", "low", "high"}
    assert report["pictures"] == 1
    assert list(report["unreadable"]) == [str(tmp_path / "1.png")]


def test_a_graph_is_as_right_as_its_own_logits_say(sample_graph, drawn_pictures):
    graph = read_graph(sample_graph)
    files = sorted(drawn_pictures.rglob("*.jpg"))
    with open_predictor(sample_graph) as predictor:
        fitted = ((file, fit(read_picture(file), graph.preprocess)) for file in files)
        right = [
            graph.labels.names[int(row.argmax())] == file.parent.name
            for file, row in predictor.logits(fitted)
        ]
    report = evaluate(sample_graph, images=drawn_pictures)
    assert report.top1.value == pytest.approx(100 * np.mean(right))
    assert report.mapping == "names"


def test_a_float_bundle_agrees_with_its_graph(sample_graph, compiled, drawn_pictures):
    bundle = compiled(sample_graph, "generic-cpu")
    report = evaluate(bundle, images=drawn_pictures, reference=sample_graph)
    assert report.agreement.value == 100
    assert report.drop.value == 0
