import shutil
from pathlib import Path

import pytest

from edgeresnet.core.bundle import read_bundle
from edgeresnet.core.errors import GateError, ProfileError, UsageError
from edgeresnet.deploy import stage
from edgeresnet.deploy.stage import deploy

TARGET = "generic-cpu"


def everything(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def no_work(monkeypatch):
    """Fails when the work begins."""

    def begun(*_args, **_options):
        raise AssertionError("the work began")

    monkeypatch.setattr(stage, "convert", begun)


def test_the_options_of_each_stage_reach_it_and_force_opens_no_gate(
    sample_weights, sample_bundle, few_pictures, tmp_path, monkeypatch
):
    told = {}

    def stand_in(name):
        def work(*given, progress, **options):
            told[name] = [Path(path).name for path in given], options
            progress(name, 1, 1)
            return name

        return work

    for name in ("convert", "quantize", "compile_graph"):
        monkeypatch.setattr(stage, name, stand_in(name))
    steps = []
    report = deploy(
        sample_weights,
        tmp_path / "b",
        images=few_pictures,
        target=TARGET,
        convert_options={"classes": "names.txt"},
        quantize_options={"samples": 20},
        force=True,
        progress=lambda *step: steps.append(step[0]),
    )
    assert told == {
        "convert": (
            ["sample.safetensors", "graph.onnx"],
            {"images": few_pictures, "classes": "names.txt"},
        ),
        "quantize": (
            ["graph.onnx", "graph.int8.onnx"],
            {"images": few_pictures, "samples": 20, "target": TARGET},
        ),
        "compile_graph": (["graph.int8.onnx", "b"], {"target": TARGET, "force": True}),
    }
    assert steps == list(told)
    assert (report.converted, report.quantized, report.compiled) == tuple(told)


@pytest.mark.parametrize("force", [False, True])
def test_a_folder_in_the_way_is_told_before_the_work(
    no_work, sample_weights, few_pictures, tmp_path, force
):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/chapter.tex").touch()
    with pytest.raises(UsageError, match="thesis"):
        deploy(sample_weights, tmp_path / "thesis", images=few_pictures, target=TARGET, force=force)


def test_an_unknown_target_is_told_before_the_work(no_work, sample_weights, few_pictures, tmp_path):
    with pytest.raises(ProfileError, match="no target named 'tpu'"):
        deploy(sample_weights, tmp_path / "b", images=few_pictures, target="tpu")


def test_a_gate_that_is_missed_leaves_all_as_it_was(
    sample_weights, sample_bundle, few_pictures, tmp_path, monkeypatch
):
    def refuse(*_args, **_options):
        raise GateError("INT8 loses too much")

    out = shutil.copytree(sample_bundle, tmp_path / "b")
    before = everything(tmp_path)
    monkeypatch.setattr(stage, "convert", lambda *_args, **_options: None)
    monkeypatch.setattr(stage, "quantize", refuse)
    with pytest.raises(GateError):
        deploy(sample_weights, out, images=few_pictures, target=TARGET, force=True)
    assert everything(tmp_path) == before
    assert read_bundle(out)
