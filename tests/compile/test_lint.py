"""Compile refuses what the target's vendor would refuse or misread, and tells the rest."""

import json

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgeresnet.backends import BACKENDS
from edgeresnet.compile.stage import compile_graph
from edgeresnet.core.contract import load_onnx, write_metadata
from edgeresnet.core.errors import GateError, ModelError
from edgeresnet.testing import FakeBackend, plugged

TENSORRT = """
description = "x"
backend = "tensorrt"
device = "cuda:0"
scheme = "s8-symmetric"
memory_mb = 1
"""


@pytest.fixture
def changed(sample_int8, tmp_path):
    """The quantized sample network, after a change."""

    def save(change, source=sample_int8):
        model = load_onnx(source)
        change(model)
        path = tmp_path / "changed.onnx"
        onnx.save(model, str(path))
        return path

    return save


@pytest.fixture
def tensorrt(tmp_path):
    (tmp_path / "trt.toml").write_text(TENSORRT)
    return str(tmp_path / "trt.toml")


def first(model, kind):
    return next(n for n in model.graph.node if n.op_type == kind)


def test_a_graph_with_an_error_is_refused_before_any_work(changed, tmp_path):
    path = changed(lambda model: first(model, "QuantizeLinear").input.pop())
    with pytest.raises(ModelError, match=r"\.Quantize: has no zero point input") as caught:
        compile_graph(path, tmp_path / "b", target="generic-cpu")
    assert f"edgeresnet inspect --lint {path} shows them all" in caught.value.hint
    assert not (tmp_path / "b").exists()


def test_a_graph_in_two_files_is_refused(sample_int8, tmp_path):
    path = tmp_path / "two.onnx"
    model = load_onnx(sample_int8)
    onnx.save(model, str(path), save_as_external_data=True, location="weights.bin")
    with pytest.raises(ModelError, match="external-data"):
        compile_graph(path, tmp_path / "b", target="generic-cpu")


def test_a_graph_that_hides_its_integers_is_refused(changed, tmp_path):
    path = changed(lambda model: write_metadata(model, {"scheme": "float"}))
    with pytest.raises(ModelError, match="says it is float"):
        compile_graph(path, tmp_path / "b", target="generic-cpu")


def test_warnings_become_one_note_a_kind(changed, tmp_path):
    def leave_over(model):
        for name in ("one", "two", "three"):
            tensor = numpy_helper.from_array(np.zeros(3, np.float32), name)
            model.graph.initializer.append(tensor)

    report = compile_graph(changed(leave_over), tmp_path / "b", target="generic-cpu")
    (note,) = (note for note in report.notes if "leftover" in note)
    assert note == "one: an initializer that nobody reads [leftover] (and 2 more)"


def test_a_sound_graph_gets_no_note_from_the_linter(sample_int8, tmp_path):
    report = compile_graph(sample_int8, tmp_path / "b", target="generic-cpu")
    assert not [note for note in report.notes if note.endswith(("]", "more)"))]


def test_tensorrt_takes_its_own_scheme_or_float(sample_int8, sample_graph, tensorrt, tmp_path):
    with pytest.raises(ModelError, match="TensorRT reads s8-symmetric only") as caught:
        compile_graph(sample_int8, tmp_path / "b", target=tensorrt)
    assert "--target trt" in caught.value.hint
    with (
        plugged(BACKENDS, "tensorrt", backend=FakeBackend()),
        pytest.raises(GateError, match="computes something else"),  # so it was compiled
    ):
        compile_graph(sample_graph, tmp_path / "b", target=tensorrt)


def cut(model):
    """Cuts features out at a box, as Faster R-CNN does."""
    source = model.graph.node[-2].output[0]
    for name, value in (("box", np.ones((1, 4), np.float32)), ("whose", np.zeros(1, np.int64))):
        model.graph.initializer.append(numpy_helper.from_array(value, name))
    node = onnx.helper.make_node("RoiAlign", [source, "box", "whose"], ["cut"], name="cut")
    model.graph.node.append(node)


@pytest.mark.parametrize("target", ["jetson-orin-nano-8gb", "nvidia-dgpu", "nvidia-rtx"])
def test_what_is_not_built_for_tensorrt_is_refused_before_any_work(
    changed, sample_graph, tmp_path, monkeypatch, target
):
    def never(*_):
        raise AssertionError("work was done for a graph that is refused")

    monkeypatch.setattr("edgeresnet.compile.stage.open_model", never)
    with pytest.raises(ModelError, match="cut: RoiAlign, of which no engine") as caught:
        compile_graph(changed(cut, sample_graph), tmp_path / "b", target=target)
    assert f"--target {target} shows them all" in caught.value.hint
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("names", [["a", "b"], [f"class {i}" for i in range(25)]])
def test_labels_are_as_many_as_outputs(changed, sample_graph, tmp_path, names):
    labels = json.dumps({"names": names, "wordnet": []})
    path = changed(lambda model: write_metadata(model, {"labels": labels}), sample_graph)
    with pytest.raises(ModelError, match=f"has {len(names)} labels for 24 outputs"):
        compile_graph(path, tmp_path / "b", target="generic-cpu")
