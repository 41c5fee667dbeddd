"""On the device: the engine of a bundle is made, proved, and tells what it is made of."""

import json
import sys

import pytest

import edgeresnet
from edgeresnet.backends import BACKENDS
from edgeresnet.cli import main
from edgeresnet.compile.on_device import prove_on_device
from edgeresnet.compile.stage import compile_graph
from edgeresnet.core.boxes import iou_matrix
from edgeresnet.core.errors import ModelError
from edgeresnet.core.protocols import Mode
from edgeresnet.core.shipped import shipped
from edgeresnet.core.tensors import BOXES, CLASS_IDS
from edgeresnet.datasets.procedural import CLASSES
from edgeresnet.datasets.procedural.crowds import draw_scene
from edgeresnet.flow.opening import open_bundle
from edgeresnet.testing import plugged


@pytest.fixture(scope="module")
def bundle(sample_s8, tmp_path_factory):
    """The sample network for a Jetson, made where there is no GPU."""
    out = tmp_path_factory.mktemp("jetson") / "sample.bundle"
    report = compile_graph(sample_s8, out, target="jetson-orin-nano-8gb")
    assert "built and proved on the device" in report.notes[-1]
    return out


@pytest.fixture
def device(nvidia):
    """Makes this machine one with a GPU and TensorRT."""

    def made(*version, **faults):
        machine = nvidia(*version, **faults)
        return plugged(BACKENDS, "tensorrt", backend=machine.backend), machine

    return made


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def detector(detector_s8, tmp_path_factory):
    """The embedded detector for a Jetson; how it is best launched is not measured."""
    folder = tmp_path_factory.mktemp("jetson")
    profile = shipped("targets") / "jetson-orin-nano-8gb.toml"
    (folder / "jetson.toml").write_text(
        profile.read_text().replace("[options]", '[options]\ncuda_graph = "off"')
    )
    compile_graph(detector_s8, folder / "detector.bundle", target=str(folder / "jetson.toml"))
    return folder / "detector.bundle"


@pytest.mark.parametrize("version", ["10.3.0", "11.4.0"])
def test_the_engine_is_built_once_and_a_run_finds_it(bundle, device, version):
    plug, machine = device(version)
    with plug:
        found = prove_on_device(bundle)
        assert found.golden_error <= found.bundle.manifest.golden.tolerance
        assert sum(layer.multiplies for layer in found.layers) >= 50
        with open_bundle(bundle, Mode.THROUGHPUT) as opened:
            assert len(opened.sessions) == 2
    assert len(machine.trt.fake.builds) == 1
    assert machine.cuda.held() == {}


def test_an_engine_that_computes_something_else_never_runs(bundle, device):
    plug, machine = device(wrong=5.0)
    with plug, pytest.raises(ModelError, match="computes something else than was proved"):
        prove_on_device(bundle)
    assert len(machine.trt.fake.builds) == 2  # one more try, minutes each
    assert machine.cuda.held() == {}


def test_a_detector_is_built_proved_and_finds_things(detector, device):
    plug, machine = device()
    with plug:
        found = prove_on_device(detector)
        assert found.golden_error <= found.bundle.manifest.golden.tolerance
        scene = draw_scene(3, seed=5)
        with edgeresnet.open(detector) as model:
            seen = model.predict(scene.pixels)
    assert len(machine.trt.fake.builds) == 1
    same = iou_matrix(scene.boxes, seen.xyxy[:3]) > 0.7
    same &= scene.box_classes[:, None] == seen.class_ids[:3]
    assert same.any(0).tolist() == [True] * 3


WRONG_BOXES = {
    "moved by a twentieth of the picture": (BOXES, lambda boxes: boxes + 16),
    "of other things": (BOXES, lambda boxes: boxes[:, ::-1]),
    "of the next class": (CLASS_IDS, lambda ids: (ids + 1) % len(CLASSES)),
}


@pytest.mark.parametrize("how", WRONG_BOXES)
def test_an_engine_that_gives_wrong_boxes_never_runs(detector, device, how):
    output, change = WRONG_BOXES[how]
    plug, machine = device(spoils=lambda name, given: change(given) if name == output else given)
    with plug, pytest.raises(ModelError, match="computes something else than was proved"):
        prove_on_device(detector)
    assert machine.cuda.held() == {}


def test_an_engine_that_is_right_the_second_time_is_kept(bundle, device):
    plug, machine = device(wrong=5.0)
    with plug:
        real, calls = machine.backend.find("tensorrt").Runtime.deserialize_cuda_engine, []

        def deserialize(runtime, plan):
            calls.append(plan)
            machine.trt.fake.faults.wrong = 5.0 if len(calls) == 1 else 0
            return real(runtime, plan)

        machine.trt.Runtime.deserialize_cuda_engine = deserialize
        assert prove_on_device(bundle).recompiled == 1
        assert prove_on_device(bundle).recompiled == 0
    assert len(machine.trt.fake.builds) == 2


def test_the_hosts_packages_are_not_needed(bundle, device, capsys, monkeypatch):
    plug, _ = device()
    gone = ("edgeresnet.compile.stage", "edgeresnet.backends.onnxruntime")
    for name in [name for name in sys.modules if name.startswith(gone)]:
        monkeypatch.delitem(sys.modules, name)
    asked = []

    class Absent:
        def find_spec(self, name, path=None, target=None):
            if name.startswith(gone):
                asked.append(name)

    monkeypatch.setattr(sys, "meta_path", [Absent(), *sys.meta_path])
    with plug:
        code, _, _ = run(["compile", bundle, "--on-device", "--json"], capsys)
    assert (code, asked) == (0, [])


def test_one_wrong_session_of_several_is_seen(bundle, device):
    plug, _ = device(wrong=5.0, wrong_contexts=(1,))
    with plug, pytest.raises(ModelError, match="computes something else"):
        open_bundle(bundle, Mode.THROUGHPUT).__enter__()


def run(arguments, capsys):
    code = main([str(argument) for argument in arguments])
    out = capsys.readouterr()
    return code, out.out, out.err


def test_the_command_tells_what_the_engine_is_made_of(bundle, device, capsys):
    plug, _ = device()
    with plug:
        code, out, err = run(["compile", bundle, "--on-device"], capsys)
    assert code == 0
    assert "in INT8: 54 of 54" in out
    assert "build the engine" in err


def test_the_gate_names_the_layers_that_fell_back(bundle, device, capsys):
    plug, _ = device(float_layers=("layer3.2.conv2", "layer1.0.conv1", "conv1", "fc"))
    with plug:
        code, out, err = run(["compile", bundle, "--on-device", "--require-int8", "0.95"], capsys)
        assert code == 5
        assert "layer3.2.conv2" in err
        assert "golden check" in out  # what was found is told all the same
        code, out, _ = run(
            ["compile", bundle, "--on-device", "--require-int8", "0.95", "--json"], capsys
        )
        assert code == 5
        assert json.loads(out)["error"]["kind"] == "GateError"
        code, out, _ = run(
            ["compile", bundle, "--on-device", "--require-int8", "0.9", "--json"], capsys
        )
    assert code == 0
    assert json.loads(out)["int8_share"] < 0.95


def test_a_graph_can_be_compiled_and_proved_in_one(sample_s8, device, tmp_path, capsys):
    plug, _ = device()
    out = tmp_path / "new.bundle"
    with plug:
        code, text, _ = run(
            ["compile", sample_s8, "--target", "nvidia-dgpu", "--on-device", "-o", out, "--json"],
            capsys,
        )
    assert code == 0
    found = json.loads(text)
    assert (found["backend"], found["int8_share"]) == ("tensorrt", 1.0)
    assert found["golden_error"] < 0.3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--on-device", "--target", "intel-cpu"], "compiled already: --target cannot change it"),
        (["--require-int8", "0.9"], "they need --on-device"),
    ],
)
def test_options_that_cannot_be_heeded_are_refused(bundle, capsys, arguments, said):
    code, _, err = run(["compile", bundle, *arguments], capsys)
    assert code == 2
    assert said in err


def test_where_there_is_no_gpu_the_error_says_so(bundle, capsys):
    code, _, err = run(["compile", bundle, "--on-device"], capsys)
    assert code == 3
    assert "NVIDIA driver" in err


@pytest.mark.parametrize("target", ["generic-cpu", "intel-cpu"])
def test_any_backend_can_be_proved_on_the_device(sample_int8, compiled, target, capsys):
    code, out, _ = run(["compile", compiled(sample_int8, target), "--on-device", "--json"], capsys)
    found = json.loads(out)
    assert code == 0
    assert found["recompiled"] >= 0
    assert (found["int8_share"] is None) == (target == "generic-cpu")
