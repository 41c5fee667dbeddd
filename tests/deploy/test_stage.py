import json
import shutil

import pytest

from edgeresnet.compile.stage import compile_graph
from edgeresnet.convert.stage import convert
from edgeresnet.core.bundle import read_bundle
from edgeresnet.core.errors import GateError, ProfileError, UsageError
from edgeresnet.deploy import stage
from edgeresnet.deploy.stage import deploy
from edgeresnet.quantize.stage import quantize

TARGET = "generic-cpu"
BUDGET = {"max_drop": 5}  # the gate has its own tests


def everything(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def no_work(monkeypatch):
    """Fails when the work begins."""

    def begun(*_args, **_options):
        raise AssertionError("the work began")

    monkeypatch.setattr(stage, "convert", begun)


def test_it_is_the_three_stages_and_nothing_else(sample_weights, drawn_pictures, tmp_path):
    report = deploy(
        sample_weights,
        tmp_path / "one.bundle",
        images=drawn_pictures,
        target=TARGET,
        quantize_options=BUDGET,
    )
    graph, int8 = tmp_path / "g.onnx", tmp_path / "g.int8.onnx"
    convert(sample_weights, graph, images=drawn_pictures)
    quantize(graph, int8, images=drawn_pictures, target=TARGET, **BUDGET)
    by_hand = compile_graph(int8, tmp_path / "three.bundle", target=TARGET)
    assert report.compiled.bundle.digest == by_hand.bundle.digest
    assert report.converted.training_match == "matches"
    assert report.quantized.gate.pictures > 0
    assert {p.name for p in tmp_path.iterdir()} == {
        "one.bundle",
        "three.bundle",
        "g.onnx",
        "g.int8.onnx",
    }


def test_the_options_of_each_stage_reach_it(sample_weights, drawn_pictures, tmp_path):
    names = [f"thing {n}" for n in range(24)]
    (tmp_path / "names.json").write_text(json.dumps(names))
    (tmp_path / "map.json").write_text(
        json.dumps({folder.name: n for n, folder in enumerate(sorted(drawn_pictures.iterdir()))})
    )
    report = deploy(
        sample_weights,
        tmp_path / "b",
        images=drawn_pictures,
        target=TARGET,
        convert_options={"classes": tmp_path / "names.json"},
        quantize_options={"samples": 30, "max_drop": 100, "class_map": tmp_path / "map.json"},
    )
    assert report.compiled.bundle.labels.names == tuple(names)
    assert report.quantized.calibration_pictures == 30


@pytest.mark.parametrize("force", [False, True])
def test_a_folder_in_the_way_is_told_before_the_work(
    no_work, sample_weights, drawn_pictures, tmp_path, force
):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/chapter.tex").touch()
    with pytest.raises(UsageError, match="thesis"):
        deploy(
            sample_weights, tmp_path / "thesis", images=drawn_pictures, target=TARGET, force=force
        )


def test_an_unknown_target_is_told_before_the_work(
    no_work, sample_weights, drawn_pictures, tmp_path
):
    with pytest.raises(ProfileError, match="no target named 'tpu'"):
        deploy(sample_weights, tmp_path / "b", images=drawn_pictures, target="tpu")


def test_a_gate_that_is_missed_leaves_all_as_it_was(
    sample_weights, sample_bundle, drawn_pictures, tmp_path, monkeypatch
):
    def refuse(*_args, **_options):
        raise GateError("INT8 loses too much")

    out = shutil.copytree(sample_bundle, tmp_path / "b")
    before = everything(tmp_path)
    monkeypatch.setattr(stage, "convert", lambda *_args, **_options: None)
    monkeypatch.setattr(stage, "quantize", refuse)
    with pytest.raises(GateError):
        deploy(sample_weights, out, images=drawn_pictures, target=TARGET, force=True)
    assert everything(tmp_path) == before
    assert read_bundle(out)
