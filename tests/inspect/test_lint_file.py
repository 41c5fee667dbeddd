"""A file is held to the scheme that was named, the target's, its own, or the likely one."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgeresnet.core.contract import load_onnx, write_metadata
from edgeresnet.core.errors import ModelError, UsageError
from edgeresnet.core.target import Scheme
from edgeresnet.inspect.lint_file import lint_onnx

TENSORRT = """
description = "x"
backend = "tensorrt"
device = "cuda:0"
scheme = "s8-symmetric"
memory_mb = 1
"""


@pytest.fixture
def theirs(sample_int8, tmp_path):
    """The quantized sample network, as if another tool had written it."""
    model = load_onnx(sample_int8)
    del model.metadata_props[:]
    path = tmp_path / "theirs.onnx"
    onnx.save(model, str(path))
    return path


@pytest.fixture
def tensorrt(tmp_path):
    (tmp_path / "trt.toml").write_text(TENSORRT)
    return str(tmp_path / "trt.toml")


def test_what_quantize_wrote_has_no_findings_in_its_own_scheme(sample_int8):
    report = lint_onnx(sample_int8)
    assert report.as_json() == {
        "kind": "graph",
        "file": str(sample_int8),
        "scheme": "u8-affine",
        "scheme_from": "graph",
        "findings": [],
    }
    assert report.errors == 0


def test_what_convert_wrote_has_no_findings(sample_graph):
    report = lint_onnx(sample_graph)
    assert (report.scheme, report.because, report.findings) == (Scheme.FLOAT, "graph", ())


def test_the_scheme_of_another_tools_file_is_guessed(theirs):
    report = lint_onnx(theirs)
    assert (report.kind, report.scheme, report.because) == ("onnx", Scheme.U8_AFFINE, "guess")
    assert report.findings == ()


def test_a_target_or_a_scheme_says_for_whom(sample_int8, tensorrt):
    for chosen, because in (
        ({"target": tensorrt}, "target"),
        ({"scheme": "s8-symmetric"}, "scheme"),
    ):
        report = lint_onnx(sample_int8, **chosen)
        assert (report.scheme, report.because) == (Scheme.S8_SYMMETRIC, because)
        assert report.errors == len(report.findings) > 0
        rules = {f.rule for f in report.findings}
        assert rules == {"unsigned", "zero-point", "quantized-bias", "residual-add"}


def test_with_a_target_it_is_held_to_what_its_backend_can_build(sample_graph, tensorrt, tmp_path):
    model = load_onnx(sample_graph)
    source = model.graph.node[-2].output[0]
    made = onnx.helper.make_node("RoiAlign", [source, source, source], ["cut"], name="cut")
    model.graph.node.append(made)
    onnx.save(model, str(tmp_path / "cut.onnx"))
    report = lint_onnx(tmp_path / "cut.onnx", target=tensorrt)
    assert ("regions", "cut", "error") in {(f.rule, f.node, f.severity) for f in report.findings}
    for options in ({"target": "intel-cpu"}, {}):
        assert lint_onnx(tmp_path / "cut.onnx", **options).errors == 0


def test_a_finding_is_told_whole(sample_int8, tmp_path):
    model = load_onnx(sample_int8)
    extra = numpy_helper.from_array(np.zeros(3, np.float32), "extra")
    model.graph.initializer.append(extra)
    onnx.save(model, str(tmp_path / "more.onnx"))
    report = lint_onnx(tmp_path / "more.onnx")
    assert report.errors == 0
    assert report.as_json()["findings"] == [
        {
            "rule": "leftover",
            "severity": "warning",
            "node": "extra",
            "what": "an initializer that nobody reads",
            "fix": "remove it from the graph",
        }
    ]


@pytest.mark.parametrize("name", ["w.pth", "b.bundle", "absent.pth"])
def test_what_is_no_onnx_file_is_refused(tmp_path, name):
    (tmp_path / "w.pth").write_text("x")
    (tmp_path / "b.bundle").mkdir()
    with pytest.raises(UsageError, match="--lint reads ONNX files"):
        lint_onnx(tmp_path / name)


def test_questions_that_make_no_sense_are_refused(sample_int8, tmp_path):
    with pytest.raises(UsageError, match="both say for whom"):
        lint_onnx(sample_int8, target="intel-cpu", scheme="float")
    with pytest.raises(UsageError, match="no 'u8-afine'") as caught:
        lint_onnx(sample_int8, scheme="u8-afine")
    assert "u8-affine" in caught.value.hint
    with pytest.raises(UsageError, match="no such file"):
        lint_onnx(tmp_path / "absent.onnx")


def test_a_graph_with_more_labels_than_outputs_is_refused(sample_int8, tmp_path):
    model = load_onnx(sample_int8)
    write_metadata(model, {"labels": '{"names": ["a", "b"], "wordnet": []}'})
    onnx.save(model, str(tmp_path / "two.onnx"))
    with pytest.raises(ModelError, match="has 2 labels for 24 outputs"):
        lint_onnx(tmp_path / "two.onnx")
