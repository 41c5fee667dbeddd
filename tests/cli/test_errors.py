"""Two lines on standard error, the exit code of the family, and JSON for scripts."""

import sys

import pytest

import edgeresnet.compile.stage
from edgeresnet.cli import COMMANDS
from edgeresnet.core.errors import (
    DeviceError,
    EdgeError,
    GateError,
    MissingBackendError,
    ModelError,
    ParityError,
    ProfileError,
    UsageError,
)

WRONG = [
    # arguments, exit code, in what, in the hint
    (["rum"], 2, "no command named 'rum'", "did you mean 'run'?"),
    (["xyzzy"], 2, "no command named 'xyzzy'", "known: convert, quantize"),
    (["run", "{bundle}", "--sorce", "x"], 2, "no option named '--sorce'", "'--source'"),
    (["run", "{bundle}"], 2, "--source", "--source camera://0"),
    (["run"], 2, "BUNDLE", "see edgeresnet run --help"),
    (["run", "absent", "--source", "0"], 2, "no such bundle: absent", ""),
    (["run", "{graph}", "--source", "0"], 2, "is not a bundle", "edgeresnet compile"),
    (["run", "{empty}", "--source", "0"], 4, "no manifest.json", "edgeresnet compile"),
    (["run", "{bundle}", "--source", "camra://0"], 2, "camra", "did you mean 'camera'?"),
    (["run", "{bundle}", "--source", "camera://front"], 2, "no such camera", "/dev/v4l/by-id"),
    (["run", "{bundle}", "--source", "absent.mp4"], 2, "no such file: absent.mp4", "camera://0"),
    (["run", "{bundle}", "--source", "{bundle}/model.onnx"], 2, "model.onnx", "ffprobe"),
    (["run", "{bundle}", "--source", "synthetic://8x8?cuont=1"], 2, "cuont", "'count'"),
    (
        ["run", "{bundle}", "--source", "synthetic://8x8?count=1", "--sink", "josnl:-"],
        2,
        "josnl",
        "'jsonl'",
    ),
    (["run", "{bundle}", "--source", "synthetic://", "--frames", "0"], 2, "--frames", "--help"),
    (["run", "{bundle}", "--source", "synthetic://", "--fps", "0"], 2, "--fps", "--help"),
    (
        ["run", "{bundle}", "--source", "x", "--sink", "jsonl:-", "--sink", "csv:-"],
        2,
        "both write",
        "file",
    ),
    (
        ["compile", "{graph}", "--target", "intel-cpux"],
        2,
        "intel-cpux",
        "did you mean 'intel-cpu'?",
    ),
    (["compile", "absent.onnx"], 2, "no such file: absent.onnx", ""),
    (["compile", "{empty}"], 2, "is a folder", ""),
    (["compile", "{graph}", "-o", "{bundle}"], 2, "output exists", "--force"),
    (["compile", "{graph}", "-o", "no/such/b"], 2, "no such folder", "mkdir -p"),
    (["quantize", "{graph}", "--images", "absent"], 2, "absent", ""),
    (["quantize", "{graph}", "--images", "{empty}"], 2, "no pictures in", ".jpg"),
    (["quantize", "{int8}", "--images", "{pictures}"], 2, "already quantized", "convert wrote"),
    (["convert", "absent.pth"], 2, "no such file: absent.pth", ""),
    (["convert", "{weights}", "--size", "big"], 2, "'big' is not a size", "--help"),
    (["convert", "{weights}", "--mean", "1,2"], 2, "3 comma-separated numbers", "--help"),
    (["evaluate", "{bundle}", "--images", "absent"], 2, "absent", ""),
    (["evaluate", "absent.onnx", "--images", "{pictures}"], 2, "no such file: absent.onnx", ""),
    (["benchmark", "{bundle}", "--seconds", "0"], 2, "--seconds must be positive", ""),
    (["benchmark", "{bundle}", "--compare", "{graph}"], 2, "not valid JSON", ""),
    (
        ["deploy", "{weights}", "--images", "{pictures}", "--target", "x"],
        2,
        "no target named 'x'",
        "known:",
    ),
    (["targets", "intel"], 2, "no target named 'intel'", "did you mean 'intel-cpu'?"),
]


@pytest.fixture
def places(
    sample_weights, sample_graph, sample_int8, sample_bundle, drawn_pictures, tmp_path, monkeypatch
):
    """What the arguments above name."""
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    return {
        "weights": sample_weights,
        "graph": sample_graph,
        "int8": sample_int8,
        "bundle": sample_bundle,
        "pictures": drawn_pictures,
        "empty": tmp_path / "empty",
    }


@pytest.mark.parametrize(("arguments", "code", "what", "hint"), WRONG)
def test_what_is_wrong_is_told_in_two_lines_with_something_to_try(
    edgeresnet, places, arguments, code, what, hint
):
    told = edgeresnet(*(argument.format(**places) for argument in arguments))
    assert told.code == code
    assert told.out == ""
    assert what in told.error[0]
    assert hint in told.error[1]
    assert "Traceback" not in told.err


@pytest.mark.parametrize(("arguments", "code", "what", "hint"), WRONG[::3])
def test_with_json_it_is_one_object_as_well(edgeresnet, places, arguments, code, what, hint):
    told = edgeresnet(*(argument.format(**places) for argument in arguments), "--json")
    assert told.code == code
    error = told.json["error"]
    assert set(error) == {"code", "kind", "what", "hint"}
    assert error["code"] == code
    assert error["kind"].endswith("Error")
    assert (error["what"], error["hint"]) == told.error
    assert what in error["what"]
    assert hint in error["hint"]


@pytest.mark.parametrize(
    ("family", "code"),
    [
        (UsageError, 2),
        (ProfileError, 2),
        (MissingBackendError, 3),
        (ModelError, 4),
        (ParityError, 4),
        (GateError, 5),
        (DeviceError, 6),
        (EdgeError, 1),
    ],
)
@pytest.mark.parametrize("hint", ["", "try this"])
def test_every_family_has_its_exit_code(edgeresnet, monkeypatch, family, code, hint):
    def fail(*_args, **_options):
        raise family("it went wrong", hint=hint)

    monkeypatch.setattr(sys.modules["edgeresnet.compile.stage"], "compile_graph", fail)
    told = edgeresnet("compile", "x.onnx", "--json")
    assert told.code == code
    assert told.error == ("it went wrong", hint)
    assert told.json["error"] == {
        "code": code,
        "kind": family.__name__,
        "what": "it went wrong",
        "hint": hint,
    }


def failing_with(monkeypatch, error):
    def fail(*_args, **_options):
        raise error

    monkeypatch.setattr(edgeresnet.compile.stage, "compile_graph", fail)


def test_debug_shows_the_traceback_and_keeps_lines_and_code(edgeresnet, monkeypatch):
    failing_with(monkeypatch, ModelError("broken", hint="mend it"))
    told = edgeresnet("compile", "x.onnx", "--debug", "--json")
    assert told.code == 4
    assert "Traceback" in told.err
    assert "in fail" in told.err
    assert told.error == ("broken", "mend it")
    assert told.json["error"]["code"] == 4


def test_a_bug_shows_its_traceback_and_asks_for_a_report(edgeresnet, monkeypatch):
    failing_with(monkeypatch, ZeroDivisionError("oops"))
    told = edgeresnet("compile", "x.onnx")
    assert told.code == 1
    assert "Traceback" in told.err
    assert "ZeroDivisionError: oops" in told.err
    assert "this is a bug" in told.err


def test_no_memory_is_a_device_error(edgeresnet, monkeypatch):
    failing_with(monkeypatch, MemoryError())
    told = edgeresnet("compile", "x.onnx", "--json")
    assert told.code == told.json["error"]["code"] == 6
    assert told.error == ("out of memory", "a smaller --batch or --size")


def test_ctrl_c_in_a_command_that_has_nothing_to_finish_is_130(edgeresnet, monkeypatch):
    failing_with(monkeypatch, KeyboardInterrupt())
    told = edgeresnet("compile", "x.onnx")
    assert told.code == 130
    assert told.err.strip() == "error: interrupted"


def test_json_and_a_sink_cannot_both_have_standard_output(edgeresnet, sample_bundle):
    for sink in ("jsonl:-", "csv:-", "jsonl:/dev/stdout"):
        told = edgeresnet(
            "run", sample_bundle, "--source", "synthetic://8x8?count=1", "--sink", sink, "--json"
        )
        assert told.code == 2
        assert told.json["error"]["kind"] == "UsageError"
        assert sink in told.json["error"]["what"]


def test_without_arguments_it_shows_the_commands(edgeresnet):
    told = edgeresnet()
    assert told.code == 0
    assert told.err == ""
    for command in COMMANDS:
        assert f"\n  {command} " in told.out
