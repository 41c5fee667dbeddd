"""Each stage as it is typed: tables for a person, one object for a script, progress apart."""

import json
import os
import signal
import subprocess
import sys

import pytest

from edgeresnet.benchmark import stage as benchmark_stage
from edgeresnet.compile.stage import compile_graph
from edgeresnet.convert.stage import convert
from edgeresnet.core.bundle import read_bundle
from edgeresnet.core.contract import read_graph
from edgeresnet.core.target import target_names


@pytest.fixture
def quick(monkeypatch):
    """One counted round a benchmark."""
    monkeypatch.setattr(benchmark_stage, "ROUNDS", 1)


def test_convert(edgeresnet, sample_weights, few_pictures, tmp_path):
    out = tmp_path / "sample.onnx"
    told = edgeresnet("convert", sample_weights, "--images", few_pictures, "-o", out, "--json")
    graph = read_graph(out)
    assert told.code == 0
    assert told.json["sha256"] == graph.sha256
    assert told.json["classes"] == 24
    assert told.json["preprocess"]["size"] == [128, 128]
    assert told.json["training_match"]["verdict"] == "matches"
    assert told.json["parity"]["verdict"]
    assert "parity" in told.err
    person = edgeresnet("convert", sample_weights, "-o", tmp_path / "second.onnx", "-q")
    assert person.code == 0
    assert "second.onnx" in person.out
    assert "parity" not in person.err


def test_names_of_outputs_follow_those_of_inputs(edgeresnet, sample_weights, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert edgeresnet("convert", sample_weights).code == 0
    assert edgeresnet("compile", "sample.onnx").code == 0
    assert {path.name for path in tmp_path.iterdir()} == {"sample.onnx", "sample.bundle"}


def test_quantize(edgeresnet, sample_graph, few_pictures, tmp_path):
    out = tmp_path / "sample.int8.onnx"
    common = ["quantize", sample_graph, "--images", few_pictures, "--max-drop", 100]
    told = edgeresnet(*common, "-o", out, "--target", "intel-cpu", "--json")
    assert told.code == 0
    assert told.json["scheme"] == read_graph(out).scheme.value == "u8-affine"
    assert told.json["calibration"]["pictures"] > 0
    assert told.json["accuracy"]["verdict"]
    assert any("no --eval" in note for note in told.json["notes"])
    assert len(told.json["worst_layers"]) > 3
    assert {"calibrate", "judge"} <= {line.split(" (")[0] for line in told.err.splitlines()}
    person = edgeresnet(*common, "-o", tmp_path / "b.onnx", "--samples", 20)
    assert person.code == 0
    assert "20 calibrate" in person.out
    assert "layers that add most noise" in person.out
    assert "no --eval" in person.err
    assert "no --eval" not in person.out


def test_compile(edgeresnet, unchecked_graph, tmp_path):
    out = tmp_path / "b"
    told = edgeresnet("compile", unchecked_graph, "-o", out, "--json")
    assert told.code == 0
    assert told.json["digest"] == read_bundle(out).digest
    assert (told.json["target"], told.json["scheme"]) == ("generic-cpu", "float")
    assert told.json["notes"]
    person = edgeresnet("compile", unchecked_graph, "-o", out, "--force")
    assert "golden check" in person.out
    assert "never checked against the training" in person.err


def test_evaluate(edgeresnet, sample_graph, sample_bundle, drawn_pictures, tmp_path):
    common = ["evaluate", sample_bundle, "--images", drawn_pictures, "--reference", sample_graph]
    told = edgeresnet(*common, "--json")
    assert told.code == 0
    assert told.json["agreement"]["value"] == 100
    assert told.json["mapping"] == "names"
    assert "evaluate" in told.err
    person = edgeresnet(*common)
    assert "agreement with the reference" in person.out
    assert "classes found by names" in person.err


def test_evaluate_tells_which_pictures_it_skipped(edgeresnet, sample_graph, tmp_path):
    from edgeresnet.datasets.procedural import write_pictures

    write_pictures(tmp_path, 3, seed=1)
    (tmp_path / "car").mkdir(exist_ok=True)
    (tmp_path / "car/torn.jpg").write_bytes(b"\xff\xd8torn")
    told = edgeresnet("evaluate", sample_graph, "--images", tmp_path)
    assert told.code == 0
    assert "skipped torn.jpg" in told.err


def test_benchmark_and_what_it_was_before(edgeresnet, quick, sample_bundle, tmp_path):
    source = ["--source", "synthetic://160x120?count=0", "--seconds", "0.1"]
    told = edgeresnet("benchmark", sample_bundle, *source, "--json")
    assert told.code == 0
    frames = told.json["frames"]
    assert frames["captured"] == frames["inferred"] + sum(frames["dropped"].values())
    (tmp_path / "before.json").write_text(told.out)
    person = edgeresnet("benchmark", sample_bundle, *source, "--compare", tmp_path / "before.json")
    assert person.code == 0
    assert "engine alone, throughput" in person.out
    assert "beside" in person.out
    assert "end to end, frames/s" in person.out


def test_deploy_is_the_three_stages_and_nothing_else(
    edgeresnet, sample_weights, few_pictures, tmp_path
):
    pictures = ["--images", few_pictures]
    budget = ["--target", "generic-cpu", "--max-drop", 100]  # the gate has its own tests
    told = edgeresnet(
        "deploy", sample_weights, *pictures, *budget, "-o", tmp_path / "one", "--json"
    )
    assert told.code == 0
    convert(sample_weights, tmp_path / "r.onnx", images=few_pictures)
    edgeresnet("quantize", tmp_path / "r.onnx", *pictures, *budget, "-o", tmp_path / "r.int8.onnx")
    compile_graph(tmp_path / "r.int8.onnx", tmp_path / "three", target="generic-cpu")
    digest = read_bundle(tmp_path / "three").digest
    assert told.json["digest"] == read_bundle(tmp_path / "one").digest == digest
    assert set(told.json["evidence"]) == {"parity", "training_match", "calibration", "accuracy"}
    assert told.json["evidence"]["training_match"]["verdict"] == "matches"


def test_targets(edgeresnet):
    assert [t["name"] for t in edgeresnet("targets", "--json").json["targets"]] == target_names()
    listed = edgeresnet("targets")
    assert all(name in listed.out for name in target_names())
    assert edgeresnet("targets", "intel-cpu", "--json").json["backend"] == "openvino"
    assert "openvino" in edgeresnet("targets", "intel-cpu").out


def test_a_target_of_nvidias_shows_its_releases_and_whose_figures_there_are(edgeresnet):
    shown = edgeresnet("targets", "jetson-orin-nano-8gb").out
    for words in ("6.2 (TensorRT 10.3)", "7W, 15W, 25W, MAXN_SUPER", "precision = float16"):
        assert words in shown
    published = shown[shown.index("as others published it") :]
    assert "not measured by us" in published
    assert "1.19" in published
    assert "power_modes" not in edgeresnet("targets", "intel-cpu").out
    refused = edgeresnet("targets", "jetson-nano")
    assert refused.code == 2
    assert "TensorRT 8.2" in refused.err


def test_a_target_in_a_file_of_its_own(edgeresnet, tmp_path):
    own = tmp_path / "my-box.toml"
    own.write_text(
        'description = "x"\nbackend = "openvino"\ndevice = "CPU"\n'
        'scheme = "u8-affine"\nmemory_mb = 100\noptions = { NUM_STREAMS = "1" }\n'
    )
    assert edgeresnet("targets", own, "--json").json["options"] == {"NUM_STREAMS": "1"}
    own.write_text(own.read_text().replace("memory_mb", "memory"))
    told = edgeresnet("targets", own)
    assert told.code == 2
    assert "unknown key 'memory'" in told.error[0]
    assert told.error[1] == "did you mean 'memory_mb'?"


def test_in_a_process_of_its_own_json_is_all_there_is_on_standard_output(
    sample_graph, drawn_pictures
):
    done = subprocess.run(
        [
            *(sys.executable, "-m", "edgeresnet", "evaluate", str(sample_graph)),
            *("--images", str(drawn_pictures), "--json"),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["pictures"] > 0
    assert done.stderr.startswith("evaluate")


def test_a_command_that_is_told_to_end_leaves_nothing_behind(
    sample_weights, drawn_pictures, tmp_path
):
    scratch, out = tmp_path / "scratch", tmp_path / "out"
    scratch.mkdir()
    out.mkdir()
    command = [sys.executable, "-m", "edgeresnet", "deploy", str(sample_weights), "--images"]
    options = [str(drawn_pictures), "--target", "generic-cpu", "-o", str(out / "b")]
    with subprocess.Popen(
        [*command, *options],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(scratch)},
    ) as process:
        try:
            told = iter(process.stderr.readline, "")
            assert any(line.startswith("calibrate") for line in told)  # in the second stage
            assert list(scratch.glob("edgeresnet-*"))
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 128 + signal.SIGTERM
        finally:
            process.kill()
    assert list(scratch.glob("edgeresnet-*")) == []  # ONNX Runtime leaves a file of its own
    assert list(out.iterdir()) == []
