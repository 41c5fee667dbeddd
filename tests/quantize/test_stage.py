"""The quantize stage: budget, disjoint pictures, and what it refuses."""

import shutil

import pytest

from edgeresnet.convert.stage import convert
from edgeresnet.core.contract import read_graph
from edgeresnet.core.errors import GateError, ParityError, UsageError
from edgeresnet.core.target import Scheme
from edgeresnet.datasets.procedural import write_pictures
from edgeresnet.quantize.gate import judge
from edgeresnet.quantize.stage import quantize


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """Calibration and gate pictures: 48 and 96, drawn with different seeds."""
    folder = tmp_path_factory.mktemp("sets")
    write_pictures(folder / "calibration", 48, seed=41)
    write_pictures(folder / "gate", 96, seed=42)
    return folder / "calibration", folder / "gate"


@pytest.mark.parametrize("scheme", ["u8-affine", "s8-symmetric"])
@pytest.mark.parametrize("method", ["minmax", "percentile"])
def test_the_sample_network_stays_right(sample_graph, sets, tmp_path, scheme, method):
    """96 pictures: a right INT8 network changes at most a few labels, a wrong one most of them."""
    out = tmp_path / "int8.onnx"
    report = quantize(
        sample_graph,
        out,
        images=sets[0],
        eval_images=sets[1],
        scheme=scheme,
        method=method,
        max_drop=5,
    )
    assert report.gate.agreement.value >= 93
    assert read_graph(out).scheme is Scheme(scheme)
    assert read_graph(out).evidence["calibration"]["pictures"] == 48


def test_over_budget_there_is_no_file_and_the_worst_layers_are_named(
    sample_graph, sets, tmp_path, monkeypatch
):
    _ruin_weights(monkeypatch)
    out = tmp_path / "int8.onnx"
    with pytest.raises(GateError, match=r"INT8 loses .* layers that add most noise: \w") as caught:
        quantize(sample_graph, out, images=sets[0], eval_images=sets[1])
    assert caught.value.exit_code == 5
    assert list(tmp_path.iterdir()) == []


def test_force_writes_it_and_the_evidence_says_so(sample_graph, sets, tmp_path, monkeypatch):
    _ruin_weights(monkeypatch)
    out = tmp_path / "int8.onnx"
    quantize(sample_graph, out, images=sets[0], eval_images=sets[1], force=True)
    assert read_graph(out).evidence["accuracy"]["verdict"] == "outside"


def _ruin_weights(monkeypatch):
    """Weights of two bits, so that the budget is really broken."""
    from edgeresnet.quantize import qdq

    exact = qdq.quantize_weight

    def coarse(weight, bias, input_scale):
        quantized, scale = exact(weight, bias, input_scale)
        return (quantized // 64 * 64).astype("int8"), scale

    monkeypatch.setattr(qdq, "quantize_weight", coarse)


def test_pictures_that_calibrate_may_not_judge(sample_graph, sets, tmp_path):
    both = tmp_path / "both"
    shutil.copytree(sets[1], both)
    stray = next(sets[0].rglob("*.jpg"))
    shutil.copy(stray, next(both.iterdir()) / "copy-under-another-name.jpg")
    with pytest.raises(UsageError, match="1 pictures are in --images too"):
        quantize(sample_graph, tmp_path / "x.onnx", images=sets[0], eval_images=both)


def test_without_eval_the_pictures_are_split_and_it_is_said(sample_graph, sets, tmp_path):
    report = quantize(sample_graph, tmp_path / "x.onnx", images=sets[1], max_drop=10)
    assert report.calibration_pictures == report.gate.pictures == 48
    assert any("no --eval" in note for note in report.notes)


def test_copies_of_a_picture_count_once(sample_graph, sets, tmp_path):
    twice = tmp_path / "twice"
    shutil.copytree(sets[0], twice)
    for path in list(twice.rglob("*.jpg"))[:7]:
        shutil.copy(path, path.with_name(f"again-{path.name}"))
    report = quantize(sample_graph, tmp_path / "x.onnx", images=twice, max_drop=20)
    assert report.calibration_pictures + report.gate.pictures == 48
    assert any("7 pictures" in note for note in report.notes)


def test_unreadable_pictures_are_named_and_skipped(sample_graph, sets, tmp_path):
    some = tmp_path / "some"
    shutil.copytree(sets[0], some)
    broken = next(some.iterdir()) / "broken.jpg"
    broken.write_bytes(b"<html>no picture</html>")
    report = quantize(
        sample_graph, tmp_path / "x.onnx", images=some, eval_images=sets[1], max_drop=20
    )
    assert list(report.unreadable) == [broken]
    assert report.calibration_pictures == 48


def test_pictures_without_classes_are_judged_by_agreement(sample_graph, sets, tmp_path):
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in sets[1].rglob("*.jpg"):
        shutil.copy(path, flat / path.name)
    report = quantize(sample_graph, tmp_path / "x.onnx", images=sets[0], eval_images=flat)
    assert report.gate.top1 is None
    assert report.gate.metric == "agreement with float"


def test_what_is_quantized_is_not_quantized_again(sample_int8, sets, tmp_path):
    with pytest.raises(UsageError, match="already quantized"):
        quantize(sample_int8, tmp_path / "x.onnx", images=sets[0])


def test_an_unchecked_graph_is_checked_with_the_calibration_pictures(
    sample_weights, sets, tmp_path
):
    wrong = tmp_path / "wrong.onnx"
    convert(sample_weights, wrong, stride_in="1x1")
    with pytest.raises(ParityError, match="stride in 3x3") as caught:
        quantize(wrong, tmp_path / "x.onnx", images=sets[0], eval_images=sets[1])
    assert "--stride-in 3x3" in caught.value.hint
    assert not (tmp_path / "x.onnx").exists()


def test_the_point_estimate_decides_and_a_wide_interval_is_said(rng):
    logits = rng.normal(size=(50, 4)).astype("float32")
    worse = logits.copy()
    worse[0] = -worse[0]
    truth = logits.argmax(1).tolist()
    gate = judge(logits, worse, truth, max_drop=2.5)
    assert gate.drop.value == pytest.approx(2.0)
    assert gate.passed
    assert "n too small" in gate.as_evidence()["note"]
    assert not judge(logits, worse, truth, max_drop=1.5).passed
