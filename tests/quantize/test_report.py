"""What ``quantize`` found, as one strict JSON object and as a page of its own."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgeresnet.core.recipe import Recipe
from edgeresnet.core.target import Scheme
from edgeresnet.datasets.procedural.crowds import write_detection_set
from edgeresnet.quantize import qdq
from edgeresnet.quantize.ranges import choose_range
from edgeresnet.quantize.report import _BARS, _seen, write_page
from edgeresnet.quantize.stage import quantize
from edgeresnet.quantize.statistics import TensorStatistics

SECTIONS = {"tensors", "layers", "equalization", "sensitivity", "budget", "flips", "worst_layers"}


@pytest.fixture(scope="module")
def graph(decided_network, write_small, tmp_path_factory):
    return write_small(decided_network, tmp_path_factory.mktemp("report") / "small.onnx")


@pytest.fixture(scope="module")
def judged(graph, spots):
    """Over its budget at first, so that there is something of everything."""
    out = graph.with_name("judged.onnx")
    return quantize(graph, out, images=spots[0], eval_images=spots[1], max_drop=3, force=True)


@pytest.fixture(scope="module")
def unjudged(graph, judged):
    """The other scheme from what was kept, without pictures."""
    return quantize(graph, graph.with_name("unjudged.onnx"), scheme="s8-symmetric")


@pytest.fixture(params=["judged", "unjudged"])
def report(request):
    return request.getfixturevalue(request.param)


def strict(text):
    def refuse(name):
        raise AssertionError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_it_is_json_and_nothing_but_json(report):
    told = report.as_json()
    assert strict(json.dumps(told, allow_nan=False)) == told
    assert told["schema"] == 1
    assert told.keys() >= SECTIONS


def test_it_tells_of_the_file_that_was_written(report):
    told = report.as_json()
    assert told["graph"] == str(report.graph.path)
    assert told["sha256"] == report.graph.sha256
    assert told["accuracy"] == report.graph.evidence["accuracy"]
    assert told["calibration"].items() >= report.graph.evidence["calibration"].items()
    assert told["made_with"]["edgeresnet"]


def test_a_judged_graph_has_something_of_everything(judged):
    told = judged.as_json()
    assert all(told[name] for name in SECTIONS)
    assert told["logit_error"] > 0
    assert told["flips_total"] == len(judged.verdict.flips)
    assert told["budget"]["returned"] == told["accuracy"]["float_layers"]


def test_a_graph_that_nobody_judged_has_no_verdict(unjudged):
    told = unjudged.as_json()
    assert told["accuracy"]["verdict"] == "unchecked"
    assert (told["logit_error"], told["budget"], told["flips"]) == (None, None, [])
    assert told["tensors"]


def test_every_tensors_bars_hold_all_that_was_sampled(report):
    for tensor in report.as_json()["tensors"]:
        assert len(tensor["counts"]) == _BARS
        assert sum(tensor["counts"]) == report.emitter.statistics[tensor["name"]].counts.sum() > 0
        assert tensor["low"] <= 0 < tensor["high"]
        assert tensor["read_by"]
        assert 0 <= tensor["clipped"] < 1


@given(values=arrays(np.float32, (1, 2, 6), elements=st.floats(-1e6, 1e6, width=32)))
def test_bars_lose_no_value_wherever_the_values_lie(values):
    found = TensorStatistics.of(values)
    chosen = choose_range(found, Recipe(name="", description=""), Scheme.U8_AFFINE)
    counts = _seen(found, chosen)["counts"]
    assert len(counts) == _BARS
    assert min(counts) >= 0
    assert sum(counts) == values.size


def test_layers_that_returned_to_float_are_told_so(judged):
    told = judged.as_json()
    precision = {layer["name"]: layer["precision"] for layer in told["layers"]}
    returned = set(told["budget"]["returned"])
    assert {n for n, kind in precision.items() if kind == "float"} == returned & set(precision)
    assert "int8" in precision.values()


def test_pictures_are_in_the_page_and_not_in_the_object(judged):
    plain, page = judged.as_json()["flips"], judged.as_json(thumbnails=True)["flips"]
    assert plain
    assert all("jpeg" not in flip for flip in plain)
    assert all(flip["jpeg"].startswith("/9j/") for flip in page)  # a JPEG's first bytes, in base64
    assert [{k: v for k, v in flip.items() if k != "jpeg"} for flip in page] == plain


def test_a_picture_that_has_gone_leaves_its_place_empty(judged, tmp_path):
    flips = tuple(replace(flip, path=tmp_path / "gone.png") for flip in judged.verdict.flips)
    gone = replace(judged, verdict=replace(judged.verdict, flips=flips))
    assert {flip["jpeg"] for flip in gone.as_json(thumbnails=True)["flips"]} == {""}
    write_page(gone, tmp_path / "page.html")


def test_the_page_and_its_json_lie_side_by_side(report, tmp_path):
    write_page(report, tmp_path / "page.html")
    assert {path.name for path in tmp_path.iterdir()} == {"page.html", "page.json"}
    assert strict((tmp_path / "page.json").read_text()) == report.as_json()
    html = (tmp_path / "page.html").read_text()
    assert html.startswith("<!doctype html>")
    assert report.graph.sha256 in html
    assert "http" not in html.replace("http-equiv", "").replace("http://www.w3.org/", "")


def test_a_page_that_is_there_is_replaced_whole(judged, tmp_path):
    page = tmp_path / "page.html"
    page.write_text("x" * 10_000_000)
    write_page(judged, page)
    assert "xxx" not in page.read_text()


@pytest.fixture(scope="module")
def lost(detector_s8, tmp_path_factory):
    """The embedded detector with weights of nothing: it sees nothing of what float does."""
    folder = tmp_path_factory.mktemp("lost")
    for path in detector_s8.parent.glob("detector.*"):  # its calibration lies beside it
        if path != detector_s8:
            shutil.copy(path, folder)
    boxes = write_detection_set(folder / "gate", 3, seed=57)
    exact = qdq.quantize_weight

    def nothing(weight, bias, input_scale, bits=8):
        quantized, scale = exact(weight, bias, input_scale, bits)
        return quantized * 0, scale

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(qdq, "quantize_weight", nothing)
        return quantize(
            folder / "detector.onnx",
            folder / "lost.onnx",
            scheme="s8-symmetric",
            eval_images=folder / "gate/images",
            annotations=boxes,
            force=True,
        )


def test_a_detectors_report_tells_of_boxes_and_shows_them(lost):
    told = lost.as_json(thumbnails=True)
    assert strict(json.dumps(lost.as_json(), allow_nan=False)) == lost.as_json()
    assert told["task"] == "detect"
    assert told["accuracy"]["metric"] == "mAP@.5"
    assert told["flips_total"] == len(told["flips"]) == 3
    scores = [flip["changes"][0]["float"]["score"] for flip in told["flips"]]
    assert scores == sorted(scores, reverse=True)
    changes = [change for flip in told["flips"] for change in flip["changes"]]
    assert {change["kind"] for change in changes} == {"lost"}
    assert sum(change["float"]["right"] for change in changes) > len(changes) / 2
    assert all(flip["jpeg"].startswith("/9j/") for flip in told["flips"])


def test_a_detectors_page_says_what_was_missed(lost, tmp_path):
    write_page(lost, tmp_path / "page.html")
    html = (tmp_path / "page.html").read_text()
    assert "Which pictures changed their boxes" in html
    assert "missed" in html
    assert html.count("data:image/jpeg;base64,") == 3
    assert "label" not in html.split("</style>")[1].replace("aria-label", "")
