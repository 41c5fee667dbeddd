"""``quantize`` as it is typed: calibrate once, the page, the advice."""

import json
import shutil
from functools import partial

import cv2
import numpy as np
import pytest

from edgeresnet.convert.stage import convert
from edgeresnet.core.contract import load_onnx, read_graph, save_onnx, write_metadata
from edgeresnet.datasets.procedural import write_pictures
from edgeresnet.datasets.procedural.crowds import write_detection_set
from edgeresnet.flow.advise import advise
from edgeresnet.quantize import qdq, stage

ANY = ("--max-drop", 100)  # the gate has its own tests


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """Folders of 12 pictures to calibrate with and 24 others to judge."""
    folder = tmp_path_factory.mktemp("sets")
    write_pictures(folder / "calibration", 12, seed=51)
    write_pictures(folder / "gate", 24, seed=52)
    return folder / "calibration", folder / "gate"


@pytest.fixture(scope="module")
def calibrated_once(sample_graph, sets, tmp_path_factory):
    """Folder of the sample graph and its calibration; copy it."""
    folder = tmp_path_factory.mktemp("cli") / "host"
    folder.mkdir()
    model = load_onnx(sample_graph)
    write_metadata(model, {"batchnorm": "{}"})  # of too few pictures no training shows
    save_onnx(model, folder / "sample.onnx")
    out = folder.parent / "out.onnx"
    stage.quantize(folder / "sample.onnx", out, images=sets[0], eval_images=sets[1], max_drop=100)
    return folder


@pytest.fixture
def calibrated(calibrated_once, tmp_path):
    """The sample graph, with its calibration beside it."""
    return shutil.copytree(calibrated_once, tmp_path / "host") / "sample.onnx"


@pytest.fixture
def no_work(monkeypatch):
    """Fails when the work begins."""

    def begun(*_args, **_options):
        raise AssertionError("the work began")

    monkeypatch.setattr(stage, "quantize", begun)


@pytest.fixture
def ruined(monkeypatch):
    """The one linear layer, ``fc``, gets weights of nothing in INT8."""
    exact = qdq.quantize_weight

    def nothing(weight, bias, input_scale, bits=8):
        quantized, scale = exact(weight, bias, input_scale, bits)
        return (quantized * 0 if weight.ndim == 2 else quantized), scale

    monkeypatch.setattr(qdq, "quantize_weight", nothing)


@pytest.fixture
def hurried(monkeypatch):
    """As few rounds as advice ever takes."""
    monkeypatch.setattr(stage, "advise", partial(advise, seconds=0.01))


def test_calibrated_once_it_needs_no_pictures(edgeresnet, calibrated, tmp_path):
    out = tmp_path / "out.onnx"
    told = edgeresnet("quantize", calibrated, "--scheme", "s8-symmetric", "-o", out)
    assert told.code == 0
    assert read_graph(out).scheme.value == "s8-symmetric"
    assert "12 calibrate, nothing judged: pass --eval" in told.out
    assert "sample.calibration.npz" in told.err


def test_never_calibrated_it_says_what_to_pass(edgeresnet, calibrated, tmp_path):
    calibrated.with_name("sample.calibration.npz").unlink()
    told = edgeresnet("quantize", calibrated, "-o", tmp_path / "out.onnx")
    assert told.code == 2
    assert "no --images" in told.error[0]
    assert "pass --images once" in told.error[1]


def test_layers_that_return_to_float_are_a_table(edgeresnet, ruined, calibrated, sets, tmp_path):
    pictures = ["--images", sets[0], "--eval", sets[1]]
    told = edgeresnet(
        "quantize", calibrated, *pictures, "--max-drop", 30, "-o", tmp_path / "x.onnx"
    )
    assert told.code == 0, told.err
    assert "returned to float, until no more than 30 points of top-1 are lost" in told.out
    assert "\n     1  fc " in told.out
    assert read_graph(tmp_path / "x.onnx").evidence["accuracy"]["float_layers"] == ["fc"]


def test_over_budget_it_exits_with_5_and_writes_nothing(
    edgeresnet, ruined, calibrated, sets, tmp_path
):
    out = tmp_path / "x.onnx"
    told = edgeresnet("quantize", calibrated, "--eval", sets[1], "--max-drop", 30, "-o", out)
    assert told.code == 5
    assert told.error[0].startswith("INT8 loses")
    assert told.error[1].startswith("pass --images, for layers to return to float")
    assert not out.exists()
    forced = edgeresnet(
        "quantize", calibrated, "--eval", sets[1], "--max-drop", 30, "-o", out, "--force"
    )
    assert forced.code == 0
    assert "OUTSIDE (forced)" in forced.out


@pytest.fixture
def detector(detector_s8, tmp_path):
    """The embedded detector, with its calibration beside it."""
    (tmp_path / "host").mkdir()
    for path in detector_s8.parent.glob("detector.*"):
        if path != detector_s8:
            shutil.copy(path, tmp_path / "host")
    return tmp_path / "host/detector.onnx"


def test_a_detector_over_budget_exits_with_5_and_writes_nothing(
    edgeresnet, detector, tmp_path, monkeypatch
):
    def nothing(weight, bias, input_scale, bits=8):
        quantized, scale = exact(weight, bias, input_scale, bits)
        return quantized * 0, scale

    exact = qdq.quantize_weight
    monkeypatch.setattr(qdq, "quantize_weight", nothing)
    boxes = write_detection_set(tmp_path / "gate", 4, seed=53)
    out = tmp_path / "x.onnx"
    told = edgeresnet(
        *("quantize", detector, "--scheme", "s8-symmetric", "--eval", tmp_path / "gate/images"),
        *("--annotations", boxes, "--max-drop", 30, "-o", out),
    )
    assert told.code == 5, told.err
    assert told.error[0].startswith("INT8 loses")
    assert "points of mAP@.5 on 4 pictures, 30 allowed" in told.error[0]
    assert "OUTSIDE (not written)" in told.out
    assert not out.exists()


def test_a_detector_on_pictures_of_nothing_is_written_unchecked_and_it_is_said(
    edgeresnet, detector, tmp_path
):
    (tmp_path / "grey").mkdir()
    for grey in (90, 110, 130):
        pixels = np.full((320, 320, 3), grey, np.uint8)
        cv2.imwrite(str(tmp_path / f"grey/{grey}.png"), pixels)
    out = tmp_path / "x.onnx"
    told = edgeresnet(
        *("quantize", detector, "--scheme", "s8-symmetric", "--eval", tmp_path / "grey"),
        *("--report", tmp_path / "page.html", "-o", out),
    )
    assert told.code == 0, told.err
    assert "NOT CHECKED (no sure box)" in told.out
    assert "agreement" not in told.out
    assert "INT8 was not judged: neither float nor INT8 is sure of a box" in told.err
    assert read_graph(out).evidence["accuracy"]["verdict"] == "unchecked"
    page = (tmp_path / "page.html").read_text()
    assert "Nobody knows yet how right this graph is: neither float nor INT8 is sure" in page


def test_the_report_is_a_page_with_its_json_beside_it(edgeresnet, calibrated, sets, tmp_path):
    page = tmp_path / "page.html"
    told = edgeresnet(
        *("quantize", calibrated, "--eval", sets[1], *ANY, "-o", tmp_path / "out.onnx"),
        *("--report", page, "--json"),
    )
    assert told.code == 0
    assert page.read_text().startswith("<!doctype html>")
    assert json.loads(page.with_suffix(".json").read_text()) == told.json


@pytest.mark.parametrize("name", ["page.html", "page.json"])
def test_a_report_in_the_way_is_told_before_the_work(
    edgeresnet, no_work, calibrated, tmp_path, name
):
    (tmp_path / name).write_text("mine")
    told = edgeresnet("quantize", calibrated, "--report", tmp_path / "page.html")
    assert told.code == 2
    assert told.error[0] == f"output exists: {tmp_path / name}"
    assert (tmp_path / name).read_text() == "mine"


def test_a_report_may_be_replaced_by_force(edgeresnet, calibrated, tmp_path):
    page = tmp_path / "page.html"
    page.write_text("old")
    told = edgeresnet("quantize", calibrated, "--report", page, "--force", "-q")
    assert told.code == 0
    assert "old" not in page.read_text()[:20]


def test_a_report_called_json_is_refused_since_the_json_lies_beside_it(
    edgeresnet, no_work, calibrated, tmp_path
):
    told = edgeresnet("quantize", calibrated, "--report", tmp_path / "page.json")
    assert told.code == 2
    assert told.error[1] == "name it .html"


def test_advice_is_a_table_and_a_sentence(edgeresnet, hurried, calibrated, sets, tmp_path):
    told = edgeresnet(
        *("quantize", calibrated, "--eval", sets[1], *ANY, "--advise", "--target", "generic-cpu"),
        *("-o", tmp_path / "out.onnx"),
    )
    assert told.code == 0
    table = told.out[told.out.index("measured on this machine, alternating") :]
    assert [line.split()[0] for line in table.splitlines()[2:4]] == ["float32", "int8"]
    assert "\nbest: " in table


def test_advice_is_in_the_object_and_knows_the_gates_verdict(
    edgeresnet, hurried, calibrated, sets, tmp_path
):
    told = edgeresnet(
        *("quantize", calibrated, "--eval", sets[1], *ANY, "--advise", "--json"),
        *("-o", tmp_path / "out.onnx"),
    )
    advice = told.json["advice"]
    assert advice["best"] in {other["name"] for other in advice["alternatives"]}
    assert advice["pictures"] == 24  # each once
    assert [other["inside"] for other in advice["alternatives"]][-1]


def test_advice_without_pictures_is_refused_before_anything_is_written(
    edgeresnet, hurried, calibrated, tmp_path
):
    told = edgeresnet("quantize", calibrated, "--advise", "-o", tmp_path / "out.onnx")
    assert told.code == 2
    assert told.error == ("--advise needs pictures", "pass --images or --eval")
    assert not (tmp_path / "out.onnx").exists()


def test_deploy_advises_too(
    edgeresnet, hurried, sample_weights, calibrated, sets, tmp_path, monkeypatch
):
    def converted(weights, out, *, images, **options):
        report = convert(weights, out, **options)
        shutil.copy(calibrated, out)
        return report

    monkeypatch.setattr("edgeresnet.deploy.stage.convert", converted)
    told = edgeresnet(
        *("deploy", sample_weights, "--images", sets[1], "--target", "generic-cpu", *ANY),
        *("--advise", "-o", tmp_path / "b"),
    )
    assert told.code == 0, told.err
    assert "measured on this machine, alternating" in told.out
    assert "\nbest: " in told.out
    assert (tmp_path / "b/manifest.json").is_file()
