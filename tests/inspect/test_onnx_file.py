"""An ONNX file is told apart: one of ours, or anyone's."""

import numpy as np
import onnx
import pytest

from edgeresnet.core.contract import body_of, load_onnx, save_onnx
from edgeresnet.core.errors import ModelError
from edgeresnet.inspect.onnx_file import inspect_onnx


def test_a_contract_graph_tells_all_that_travels_with_it(sample_graph):
    report = inspect_onnx(sample_graph).as_json()
    assert report["kind"] == "graph"
    assert report["arch"] == "resnet50"
    assert report["scheme"] == "float"
    assert report["inputs"] == [{"name": "image", "dtype": "uint8", "shape": [1, 128, 128, 3]}]
    assert report["outputs"] == [{"name": "logits", "dtype": "float32", "shape": [1, 24]}]
    assert report["labels"] == 24
    assert report["preprocess"]["size"] == [128, 128]
    assert report["evidence"]["parity"]["verdict"] == "equal"
    assert report["nodes"]["Conv"] == 53
    assert next(iter(report["nodes"])) == "Conv"


def test_the_file_of_another_tool_is_told_by_its_tensors(sample_graph, tmp_path):
    body = body_of(load_onnx(sample_graph))
    del body.metadata_props[:]
    body.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    body.graph.input.append(  # as older exporters did
        onnx.helper.make_tensor_value_info(
            body.graph.initializer[0].name,
            body.graph.initializer[0].data_type,
            body.graph.initializer[0].dims,
        )
    )
    onnx.save(body, str(tmp_path / "other.onnx"))
    report = inspect_onnx(tmp_path / "other.onnx").as_json()
    assert report["kind"] == "onnx"
    assert [i["shape"] for i in report["inputs"]] == [[None, 3, 128, 128]]
    assert "preprocess" not in report


def test_half_a_file_is_refused(sample_graph, tmp_path):
    (tmp_path / "half.onnx").write_bytes(sample_graph.read_bytes()[:5000])
    with pytest.raises(ModelError, match="not a whole ONNX file"):
        inspect_onnx(tmp_path / "half.onnx")


def test_a_graph_of_a_newer_edgeresnet_is_refused_by_name(sample_graph, tmp_path):
    model = load_onnx(sample_graph)
    for entry in model.metadata_props:
        if entry.key == "edgeresnet.schema":
            entry.value = "2"
    onnx.save(model, str(tmp_path / "newer.onnx"))
    with pytest.raises(ModelError, match="graph schema 2"):
        inspect_onnx(tmp_path / "newer.onnx")


def test_parameters_are_those_of_the_file(sample_graph, tmp_path):
    before = inspect_onnx(sample_graph)
    model = load_onnx(sample_graph)
    extra = onnx.numpy_helper.from_array(np.zeros((3, 4), np.float32), "extra")
    model.graph.initializer.append(extra)
    save_onnx(model, tmp_path / "more.onnx")
    assert inspect_onnx(tmp_path / "more.onnx").parameters == before.parameters + 12
