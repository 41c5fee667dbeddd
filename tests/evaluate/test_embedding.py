"""``evaluate`` of an embedder: whether alike pictures stay near, and whether two say the same."""

import json
from contextlib import contextmanager

import cv2
import numpy as np
import pytest

from edgeresnet.core.errors import ModelError, UsageError
from edgeresnet.core.labels import Labels
from edgeresnet.core.preprocess import Preprocess
from edgeresnet.core.tensors import EMBEDDING
from edgeresnet.evaluate import stage
from edgeresnet.evaluate.stage import evaluate
from edgeresnet.flow.predictor import Predictor

SIDE = 8
SHADES = {"red": [(0, 0, 200), (20, 0, 200), (0, 30, 220)], "blue": [(206, 0, 0), (180, 30, 0)]}


@pytest.fixture
def embedders(monkeypatch):
    """Give a name the vector that it makes of a mean colour; ``evaluate`` opens it so."""
    made = {}

    @contextmanager
    def open_predictor(path):
        def run(pixels):
            vector = made[path.name](pixels.reshape(-1, 3).mean(0).astype(np.float32))
            return {EMBEDDING: np.asarray(vector, np.float32)[None]}

        size = Preprocess(size=(SIDE, SIDE), resize=SIDE)
        yield Predictor(f"{path.name} on fake", "sha256:0", "embed", size, Labels(()), (run,) * 2)

    monkeypatch.setattr(stage, "open_predictor", open_predictor)

    def embedder(name, vector=lambda colour: colour):
        made[name] = vector
        return name

    return embedder


@pytest.fixture
def shades(tmp_path):
    """Three red pictures and two blue ones, in class folders."""
    for name, colours in SHADES.items():
        (tmp_path / name).mkdir()
        for number, colour in enumerate(colours):
            pixels = np.full((SIDE, SIDE, 3), colour, np.uint8)
            assert cv2.imwrite(str(tmp_path / name / f"{number}.png"), pixels)
    return tmp_path


def brightness(colour):
    return colour.sum(), 200.0  # the angle tells how bright, and no colour


def test_the_nearest_other_picture_has_to_be_of_the_same_class(embedders, shades):
    report = evaluate(embedders("colour"), images=shades)
    assert (report.pictures, report.nearest.value) == (5, 100)
    assert report.cosine is report.agreement is report.drop is None
    worse = evaluate(embedders("brightness", brightness), images=shades)
    # in order of brightness: red 200, blue 206 and 210, red 220 and 250
    assert worse.nearest.value == pytest.approx(100 * 3 / 5)
    assert worse.nearest.low < worse.nearest.value < worse.nearest.high


def test_a_reference_gives_the_angle_the_same_neighbours_and_the_points_lost(embedders, shades):
    colour, bright = embedders("colour"), embedders("brightness", lambda c: (c.sum(), 200.0, 0.0))
    report = evaluate(bright, images=shades, reference=colour)
    assert report.reference == "colour on fake"
    assert report.reference_nearest.value == 100
    assert report.drop.value == pytest.approx(100 - report.nearest.value)
    assert 0 < report.cosine.value < 100
    assert report.agreement.value < 100


def test_length_counts_for_nothing(embedders, shades):
    report = evaluate(
        embedders("long", lambda colour: 7 * colour), images=shades, reference=embedders("colour")
    )
    assert report.cosine.value == pytest.approx(100)
    assert (report.agreement.value, report.drop.value) == (100, 0)


def test_pictures_without_classes_need_a_reference(embedders, shades):
    flat = shades / "red"
    colour = embedders("colour")
    with pytest.raises(UsageError, match="have no classes to be kept together") as caught:
        evaluate(colour, images=flat)
    assert "--reference" in caught.value.hint
    report = evaluate(colour, images=flat, reference=colour)
    assert report.nearest is report.drop is None
    assert report.agreement.value == 100


def test_a_picture_alone_in_its_class_counts_for_nothing(embedders, shades):
    (shades / "green").mkdir()
    cv2.imwrite(str(shades / "green/0.png"), np.full((SIDE, SIDE, 3), (0, 200, 0), np.uint8))
    colour = embedders("colour")
    report = evaluate(colour, images=shades)
    assert (report.pictures, report.scored, report.nearest.value) == (6, 5, 100)
    assert report.as_json()["scored"] == 5
    for path in (*shades.glob("red/[12].png"), shades / "blue/1.png"):
        path.unlink()
    with pytest.raises(UsageError, match="is the only one of its class") as caught:
        evaluate(colour, images=shades)
    assert "--reference" in caught.value.hint
    assert evaluate(colour, images=shades, reference=colour).nearest is None


def test_a_loose_picture_beside_class_folders_is_named(embedders, shades):
    (shades / "red/0.png").rename(shades / "loose.png")
    colour = embedders("colour")
    for reference in (None, colour):
        with pytest.raises(UsageError, match=r"loose\.png of .* has no class"):
            evaluate(colour, images=shades, reference=reference)


def test_classes_of_a_csv_count_as_folders_do(embedders, shades):
    lines = [
        f"{path.relative_to(shades)},{int('red' in str(path))}" for path in shades.rglob("*.png")
    ]
    (shades / "all.csv").write_text("\n".join(["file,class_index", *lines]))
    assert evaluate(embedders("colour"), images=shades / "all.csv").nearest.value == 100


def test_unreadable_pictures_are_left_out_by_name(embedders, shades):
    (shades / "red/x.png").write_bytes(b"no picture")
    report = evaluate(embedders("colour"), images=shades)
    assert report.pictures == 5
    assert [path.name for path in report.unreadable] == ["x.png"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"class_map": "map.csv"}, "--class-map: a is to embed"),
        ({"annotations": "a.json"}, "--annotations is for detectors; a is to embed"),
        ({"strict": True}, "--strict is for detectors"),
    ],
)
def test_options_of_other_tasks_are_refused(embedders, shades, options, said):
    with pytest.raises(UsageError, match=said):
        evaluate(embedders("a"), images=shades, **options)


def test_of_one_picture_there_is_no_nearest_other(embedders, shades):
    for path in sorted(shades.rglob("*.png"))[1:]:
        path.unlink()
    with pytest.raises(UsageError, match="of one picture there is no nearest other"):
        evaluate(embedders("colour"), images=shades)


def test_vectors_of_another_length_and_no_numbers_are_errors(embedders, shades):
    colour = embedders("colour")
    with pytest.raises(ModelError, match="of 2 values, colour on fake of 3"):
        evaluate(colour, images=shades, reference=embedders("short", lambda c: c[:2]))
    with pytest.raises(ModelError, match="broken on fake gives values that are not finite"):
        evaluate(embedders("broken", lambda c: c * np.nan), images=shades)


def test_the_report_is_json_with_the_fields_that_scripts_rely_on(embedders, shades):
    colour = embedders("colour")
    told = json.loads(json.dumps(evaluate(colour, images=shades, reference=colour).as_json()))
    for name in ("nearest", "cosine", "agreement", "drop", "reference_nearest"):
        assert set(told[name]) == {"value", "low", "high"}
    assert (told["model"], told["reference"], told["pictures"]) == (*["colour on fake"] * 2, 5)
    assert told["unreadable"] == {}
