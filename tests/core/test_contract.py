"""The contract graph takes fitted uint8 pictures and tells all about itself."""

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from edgeresnet.backends.onnxruntime.reference import open_model
from edgeresnet.core.contract import (
    NORMALISED,
    OPSET,
    body_of,
    copy_of,
    describe,
    graph_of,
    load_onnx,
    prepend_normalisation,
    read_graph,
    read_metadata,
    rename_output,
    save_onnx,
    write_metadata,
)
from edgeresnet.core.errors import DeviceError, ModelError, UsageError
from edgeresnet.core.labels import Labels
from edgeresnet.core.preprocess import Color, Preprocess
from edgeresnet.core.target import Scheme
from edgeresnet.core.tensors import IMAGE, LOGITS, TensorSpec

SMALL = Preprocess(size=(4, 6), resize=8)


def flat_body(batch=1, size=(4, 6)):
    """A network of one node: every normalised value is a logit."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 3, *size])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 3 * size[0] * size[1]])
    graph = helper.make_graph([helper.make_node("Flatten", ["x"], ["y"], "flat")], "g", [x], [y])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)


def contract(preprocess=SMALL, batch=1, **changes):
    model = flat_body(batch, preprocess.size)
    rename_output(model)
    prepend_normalisation(model, preprocess, batch)
    table = {
        "task": "classify",
        "scheme": Scheme.FLOAT,
        "preprocess": preprocess,
        "labels": Labels(tuple(f"class {i}" for i in range(72))),
        "evidence": {"parity": {"verdict": "equal"}, "training_match": {"verdict": "matches"}},
    }
    describe(model, **{**table, **changes})
    return model


@settings(max_examples=25, deadline=None)
@given(
    color=st.sampled_from(Color),
    scale=st.sampled_from([1 / 255, 1.0]),
    mean=st.tuples(*[st.floats(-150, 150)] * 3),
    std=st.tuples(*[st.floats(0.1, 150)] * 3),
    batch=st.integers(1, 3),
)
def test_the_first_nodes_are_the_definition_of_preprocess(color, scale, mean, std, batch):
    preprocess = SMALL.model_copy(update={"color": color, "scale": scale, "mean": mean, "std": std})
    model = contract(preprocess, batch)
    pictures = np.random.default_rng(batch).integers(0, 256, (batch, 4, 6, 3), np.uint8)
    found = open_model(model.SerializeToString(), threads=1)({IMAGE: pictures})[LOGITS]
    expected = preprocess.normalise(pictures).reshape(batch, -1)
    reach = (255 * scale + np.abs(mean).max()) / min(std)
    assert np.abs(found - expected).max() <= 1e-6 * max(reach, 1)  # float32 has 24 bits


def test_a_graph_travels_alone(tmp_path):
    path = tmp_path / "graph.onnx"
    labels = Labels(("ü", "b", "c") * 24, tuple(f"n{i:08d}" for i in range(72)))
    made = save_onnx(contract(labels=labels, scheme=Scheme.U8_AFFINE, batch=2), path)
    read = read_graph(path)
    assert read == made
    assert read.labels == labels
    assert read.preprocess == SMALL
    assert read.scheme is Scheme.U8_AFFINE
    assert read.batch == 2
    assert read.inputs == (TensorSpec(IMAGE, "uint8", (2, 4, 6, 3)),)
    assert read.outputs == (TensorSpec(LOGITS, "float32", (2, 72)),)
    assert read.evidence["training_match"] == {"verdict": "matches"}
    assert [file.name for file in tmp_path.iterdir()] == ["graph.onnx"]


@pytest.mark.parametrize("color", Color)
def test_the_body_is_the_network_without_its_first_nodes(color):
    model = contract(SMALL.model_copy(update={"color": color}))
    before = model.SerializeToString()
    body = body_of(model)
    assert model.SerializeToString() == before
    assert [node.name for node in body.graph.node] == ["flat"]
    assert [value.name for value in body.graph.input] == [NORMALISED]
    assert not body.graph.initializer
    onnx.checker.check_model(body, full_check=True)


def test_a_copy_is_a_models_own():
    model = contract()
    copy = copy_of(model)
    copy.graph.node[0].name = "other"
    assert model.graph.node[0].name != "other"


def test_metadata_is_replaced_not_doubled_and_that_of_others_stays():
    model = flat_body()
    model.metadata_props.add(key="author", value="somebody")
    write_metadata(model, {"a": "1", "b": "2"})
    write_metadata(model, {"a": "3"})
    assert read_metadata(model) == {"a": "3", "b": "2"}
    assert {p.key for p in model.metadata_props} == {"author", "edgeresnet.a", "edgeresnet.b"}


DAMAGES = [None, "", "null", "[1]", "{", "\x00"]


@pytest.mark.parametrize(
    ("key", "value"),
    [("task", None), ("labels", '{"names": 3}'), ("preprocess", '{"size": 3}'), ("scheme", "u4")]
    + [(key, v) for key in ("scheme", "preprocess", "labels", "evidence") for v in DAMAGES],
)
def test_damaged_metadata_is_a_model_error_that_names_the_file(tmp_path, key, value):
    model = contract()
    if value is None:
        kept = [p for p in model.metadata_props if p.key != f"edgeresnet.{key}"]
        del model.metadata_props[:]
        model.metadata_props.extend(kept)
    else:
        write_metadata(model, {key: value})
    path = tmp_path / "damaged.onnx"
    onnx.save(model, str(path))
    with pytest.raises(ModelError, match=r"damaged\.onnx"):
        read_graph(path)


def test_files_of_others_and_of_the_future_are_refused_by_name(tmp_path):
    path = tmp_path / "theirs.onnx"
    onnx.save(flat_body(), str(path))
    with pytest.raises(ModelError, match="not one that edgeresnet wrote") as caught:
        read_graph(path)
    assert caught.value.hint == f"edgeresnet convert {path} takes it in"
    model = contract()
    write_metadata(model, {"schema": "2"})
    with pytest.raises(ModelError, match="graph schema 2, this edgeresnet reads 1"):
        graph_of(model, path)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", UsageError),
        (b"<!DOCTYPE html>", ModelError),
        (bytes(1000), ModelError),
        (b"\x08\x08", ModelError),
    ],
)
def test_what_is_no_onnx_file_is_refused_in_two_lines(tmp_path, data, error):
    path = tmp_path / "graph.onnx"
    path.write_bytes(data)
    with pytest.raises(error, match=r"graph\.onnx") as caught:
        read_graph(path)
    assert len(str(caught.value).splitlines()) <= 2


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.999])
def test_a_graph_cut_short_is_refused(sample_graph, tmp_path, share):
    path = tmp_path / "cut.onnx"
    data = sample_graph.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ModelError, match=r"cut\.onnx"):
        read_graph(path)


def test_weights_outside_the_folder_are_refused(sample_graph, tmp_path):
    (tmp_path / "model").mkdir()
    model = onnx.load(str(sample_graph))
    onnx.save(
        model,
        str(tmp_path / "model/graph.onnx"),
        save_as_external_data=True,
        location="weights.bin",
    )
    assert load_onnx(tmp_path / "model/graph.onnx").graph.node
    text = (tmp_path / "model/graph.onnx").read_bytes()
    moved = text.replace(b"weights.bin", b"../wei.bin.")
    assert moved != text
    (tmp_path / "model/graph.onnx").write_bytes(moved)
    (tmp_path / "model/weights.bin").rename(tmp_path / "wei.bin.")
    with pytest.raises(ModelError, match=r"graph\.onnx"):
        load_onnx(tmp_path / "model/graph.onnx")


def test_a_model_that_does_not_pass_the_checker_is_not_written(tmp_path):
    model = contract()
    model.graph.node.add(op_type="Relu", input=["nowhere"], output=["z"])
    with pytest.raises(Exception, match="nowhere"):
        save_onnx(model, tmp_path / "graph.onnx")
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    import errno

    def full(_model, path):
        with open(path, "wb") as file:  # noqa: PTH123  as onnx does
            file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(onnx, "save", full)
    with pytest.raises(DeviceError, match="disk full"):
        save_onnx(contract(), tmp_path / "graph.onnx")
    assert not list(tmp_path.iterdir())
