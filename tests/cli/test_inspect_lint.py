"""``edgeresnet inspect --lint`` as it is typed."""

import onnx
import pytest

from edgeresnet.core.contract import load_onnx


@pytest.fixture
def spoiled(sample_int8, tmp_path):
    """A quantized graph with one zero point left out."""
    model = load_onnx(sample_int8)
    quantize = next(n for n in model.graph.node if n.op_type == "QuantizeLinear")
    del quantize.input[2]
    path = tmp_path / "spoiled.onnx"
    onnx.save(model, str(path))
    return path, quantize.name


def test_no_findings_is_said_plainly(edgeresnet, sample_int8):
    told = edgeresnet("inspect", sample_int8, "--lint")
    assert told.code == 0
    assert told.out.splitlines() == [f"{sample_int8} as u8-affine (its own)", "no findings"]


def test_an_error_is_shown_with_its_rule_node_and_fix_and_is_exit_4(edgeresnet, spoiled):
    path, name = spoiled
    told = edgeresnet("inspect", path, "--lint")
    assert told.code == 4
    table = told.out
    for column in ("severity", "rule", "node", "what", "fix"):
        assert column in table.splitlines()[1]
    assert "implicit-zero-point" in table
    assert name in table
    assert "add one" in table
    assert table.splitlines()[-1] == "errors: 1, warnings: 0"


def test_json_is_one_object_also_where_there_is_an_error(edgeresnet, spoiled):
    path, name = spoiled
    told = edgeresnet("inspect", path, "--lint", "--json")
    assert told.code == 4
    assert told.json["kind"] == "graph"
    assert told.json["file"] == str(path)
    assert told.json["scheme"] == "u8-affine"
    (finding,) = told.json["findings"]
    assert finding["rule"] == "implicit-zero-point"
    assert finding["severity"] == "error"
    assert finding["node"] == name


def test_a_warning_alone_is_exit_0(edgeresnet, sample_graph):
    told = edgeresnet("inspect", sample_graph, "--lint", "--target", "generic-cpu")
    assert told.code == 0
    assert "as u8-affine (the target's)" in told.out
    assert "not-quantized" in told.out
    assert told.out.splitlines()[-1] == "errors: 0, warnings: 1"


def test_a_guess_is_called_one(edgeresnet, sample_int8, tmp_path):
    model = load_onnx(sample_int8)
    del model.metadata_props[:]
    onnx.save(model, str(tmp_path / "theirs.onnx"))
    told = edgeresnet("inspect", tmp_path / "theirs.onnx", "--lint")
    assert told.code == 0
    assert "as u8-affine (assumed from its Q/DQ" in told.out


def test_the_scheme_can_be_named(edgeresnet, sample_int8):
    told = edgeresnet("inspect", sample_int8, "--lint", "--scheme", "s8-symmetric", "--json")
    assert told.code == 4
    assert told.json["scheme"] == "s8-symmetric"
    assert "residual-add" in {f["rule"] for f in told.json["findings"]}


@pytest.mark.parametrize(
    ("arguments", "what", "hint"),
    [
        (["{bundle}", "--lint"], "--lint reads ONNX files", "graph"),
        (["{weights}", "--lint"], "--lint reads ONNX files", "graph"),
        (["{graph}", "--target", "intel-cpu"], "say for whom to lint", "add --lint"),
        (["{graph}", "--scheme", "float"], "say for whom to lint", "add --lint"),
        (["{graph}", "--lint", "--target", "intel-cpux"], "no target named", "'intel-cpu'"),
        (
            ["{graph}", "--lint", "--target", "intel-cpu", "--scheme", "float"],
            "both say for whom",
            "leave one",
        ),
        (["absent.onnx", "--lint"], "no such file: absent.onnx", ""),
    ],
)
def test_wrong_questions_are_answered_in_two_lines(
    edgeresnet, sample_bundle, sample_weights, sample_graph, arguments, what, hint
):
    places = {"bundle": sample_bundle, "weights": sample_weights, "graph": sample_graph}
    told = edgeresnet("inspect", *(argument.format(**places) for argument in arguments))
    assert told.code == 2
    assert what in told.error[0]
    assert hint in told.error[1]
