"""A vendor's package that is not installed: exit 3 with the line that installs it."""

import json
import subprocess
import sys

import pytest

from edgeresnet.cli import EXTRAS

WITHOUT = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

ABSENT = set(sys.argv[1].split(","))
sys.meta_path.insert(0, Absent())
from edgeresnet.cli import main
sys.exit(main(sys.argv[2:]))
"""


def without(packages, *arguments):
    command = [sys.executable, "-c", WITHOUT, ",".join(packages), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def pictures(drawn_pictures):
    return drawn_pictures


@pytest.mark.parametrize("command", ["run", "evaluate", "benchmark"])
def test_a_bundle_whose_runtime_is_absent(sample_int8, compiled, pictures, command):
    pytest.importorskip("openvino", reason="openvino is not installed")
    bundle = compiled(sample_int8, "intel-cpu")
    more = {
        "run": ["--source", "synthetic://8x8?count=1"],
        "evaluate": ["--images", pictures],
        "benchmark": [],
    }[command]
    done = without({"openvino"}, command, bundle, *more, "--json")
    assert done.returncode == 3
    error = json.loads(done.stdout)["error"]
    assert error["kind"] == "MissingBackendError"
    assert "openvino" in error["what"]
    assert error["hint"] == "pip install 'edgeresnet[openvino]'"
    assert "Traceback" not in done.stderr


def test_a_target_whose_compiler_is_absent(sample_graph, tmp_path):
    done = without(
        {"openvino"}, "compile", sample_graph, "--target", "intel-cpu", "-o", tmp_path / "b"
    )
    assert done.returncode == 3
    assert done.stderr.endswith("hint: pip install 'edgeresnet[openvino]'\n")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("package", "command"),
    [
        ("onnx", ["compile", "{graph}"]),
        ("onnxruntime", ["compile", "{graph}"]),
        ("onnx", ["quantize", "{graph}", "--images", "{pictures}"]),
        ("onnxruntime", ["quantize", "{graph}", "--images", "{pictures}"]),
        ("onnx", ["evaluate", "{graph}", "--images", "{pictures}"]),
        ("onnxruntime", ["evaluate", "{graph}", "--images", "{pictures}"]),
        ("torch", ["deploy", "{weights}", "--images", "{pictures}", "--target", "generic-cpu"]),
        ("safetensors", ["convert", "{weights}"]),
    ],
)
def test_a_stage_whose_package_is_absent(
    sample_weights, sample_graph, pictures, tmp_path, package, command
):
    places = {"graph": sample_graph, "pictures": pictures, "weights": sample_weights}
    command = [part.format(**places) for part in command]
    if command[0] != "evaluate":
        command += ["-o", str(tmp_path / "out")]
    done = without({package}, *command)
    assert done.returncode == 3
    error, hint = done.stderr.splitlines()[-2:]
    assert error.startswith("error: ")
    assert package in error
    assert "Traceback" not in done.stderr
    assert hint.startswith("hint: pip install 'edgeresnet[")


def test_a_device_with_openvino_alone_runs_and_judges_bundles(sample_int8, compiled, pictures):
    """The base package and one runtime: neither torch nor onnx nor ONNX Runtime."""
    pytest.importorskip("openvino", reason="openvino is not installed")
    bundle = compiled(sample_int8, "intel-cpu")
    host = set(EXTRAS) - {"openvino"}
    ran = without(host, "run", bundle, "--source", "synthetic://8x8?count=3", "--json")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["frames"]["inferred"] == 3
    judged = without(host, "evaluate", bundle, "--images", pictures, "--json")
    assert judged.returncode == 0, judged.stderr
    assert json.loads(judged.stdout)["pictures"] > 0


def test_a_device_with_onnx_runtime_alone_runs_and_times_bundles(sample_bundle):
    host = set(EXTRAS) - {"onnxruntime"}
    ran = without(host, "run", sample_bundle, "--source", "synthetic://8x8?count=3", "--json")
    assert ran.returncode == 0, ran.stderr
    timed = without(host, "benchmark", sample_bundle, "--seconds", "0.1", "--json")
    assert timed.returncode == 0, timed.stderr
