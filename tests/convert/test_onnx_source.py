"""An ONNX file of another tool becomes a body, whatever its opset, batch and end."""

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from edgeresnet.convert.onnx_source import read_body
from edgeresnet.convert.stage import convert
from edgeresnet.core.contract import NORMALISED
from edgeresnet.core.errors import ModelError, ParityError, UsageError
from edgeresnet.match.moments import unpack


@pytest.fixture(scope="module")
def network(make_network):
    return make_network()


@pytest.fixture(scope="module")
def file(network, export_file, tmp_path_factory):
    """The network as torch exports it: BatchNorms folded, batch 1."""
    return export_file(network, tmp_path_factory.mktemp("theirs") / "theirs.onnx")


@pytest.fixture(scope="module")
def unfolded(network, export_file, tmp_path_factory):
    """The network with its BatchNorms still there."""
    return export_file(
        network,
        tmp_path_factory.mktemp("theirs") / "unfolded.onnx",
        training=torch.onnx.TrainingMode.PRESERVE,
        do_constant_folding=False,
    )


def expected(network, batch=1, size=64):
    x = torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        return x, network(x)


def changed(file, folder, change):
    """A copy of the file after ``change`` was made to its model."""
    model = onnx.load(str(file))
    change(model)
    path = folder / "changed.onnx"
    onnx.save(model, str(path))
    return path


@pytest.mark.parametrize("opset", [9, 11, 13, 16, 18, 20, 22])
def test_every_opset_is_brought_to_ours(network, export_file, run_onnx, close, tmp_path, opset):
    body, size = read_body(export_file(network, tmp_path / "n.onnx", opset=opset), 1)
    assert body.opset_import[0].version == 17
    assert size == (64, 64)
    onnx.checker.check_model(body, full_check=True)
    x, logits = expected(network)
    close(run_onnx(body, x), logits)


@pytest.mark.parametrize("version", [3, 8, 14])
def test_every_ir_version_is_brought_to_ours(file, network, run_onnx, close, tmp_path, version):
    """Version 3 lists its weights as inputs; runtimes refuse versions newer than themselves."""

    def age(model):
        model.ir_version = version
        for weight in model.graph.initializer if version < 4 else ():
            value = helper.make_tensor_value_info(weight.name, weight.data_type, weight.dims)
            model.graph.input.append(value)

    body, _ = read_body(changed(file, tmp_path, age), 1)
    assert [value.name for value in body.graph.input] == ["x"]
    onnx.checker.check_model(body, full_check=True)
    x, logits = expected(network)
    close(run_onnx(body, x), logits)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("dynamic", [(), (0,)])
def test_the_batch_is_the_one_asked_for(
    network, export_file, run_onnx, close, tmp_path, batch, dynamic
):
    path = export_file(network, tmp_path / "n.onnx", dynamic=dynamic)
    body, _ = read_body(path, batch)
    for value in (*body.graph.input, *body.graph.output):
        assert value.type.tensor_type.shape.dim[0].dim_value == batch
    x, logits = expected(network, batch)
    close(run_onnx(body, x), logits)


def test_a_free_size_is_told_from_a_fixed_one(network, export_file, tmp_path):
    path = export_file(network, tmp_path / "n.onnx", dynamic=(0, 2, 3))
    assert read_body(path, 1)[1] is None
    report = convert(path, tmp_path / "g.onnx", preprocess={"size": (96, 64), "resize": 96})
    assert report.graph.inputs[0].shape == (1, 96, 64, 3)
    assert report.parity.holds


def test_another_size_than_the_fixed_one_is_refused(file, tmp_path):
    with pytest.raises(UsageError, match="64x64"):
        convert(file, tmp_path / "g.onnx", preprocess={"size": (96, 96)})
    assert not (tmp_path / "g.onnx").exists()


def test_a_softmax_at_the_end_is_taken_off(network, export_file, run_onnx, close, tmp_path):
    module = nn.Sequential(network, nn.Softmax(1)).eval()
    body, _ = read_body(export_file(module, tmp_path / "n.onnx"), 1)
    assert "Softmax" not in {node.op_type for node in body.graph.node}
    x, logits = expected(network)
    close(run_onnx(body, x), logits)


def test_every_node_has_a_name_of_its_own(file, tmp_path):
    def forget(model):
        for i, node in enumerate(model.graph.node):
            node.name = "" if i % 2 else "same"

    body, _ = read_body(changed(file, tmp_path, forget), 1)
    names = [node.name for node in body.graph.node]
    assert all(names)
    assert len(names) == len(set(names))


def test_norms_that_are_still_there_are_folded_and_remembered(
    unfolded, network, run_onnx, close, tmp_path
):
    report = convert(unfolded, tmp_path / "g.onnx")
    assert report.training_match == "unchecked"
    model = onnx.load(str(report.graph.path))
    assert "BatchNormalization" not in {node.op_type for node in model.graph.node}
    packed = next(p.value for p in model.metadata_props if p.key == "edgeresnet.batchnorm")
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(unpack(packed)) == len(norms)
    first = next(iter(unpack(packed).values()))
    np.testing.assert_allclose(first.mean, network.bn1.bias.detach(), rtol=1e-6)


def test_a_large_letterboxed_file_is_probed_at_its_own_size(
    make_network, export_file, few_pictures, tmp_path
):
    unfolded = {"training": torch.onnx.TrainingMode.PRESERVE, "do_constant_folding": False}
    path = export_file(make_network(), tmp_path / "large.onnx", size=352, **unfolded)
    boxed = {"crop": "letterbox", "size": 352, "resize": None}
    report = convert(path, tmp_path / "g.onnx", images=few_pictures, preprocess=boxed, force=True)
    assert report.match.pictures == 48


def test_norms_that_another_tool_folded_leave_nothing_to_match(file, tmp_path):
    report = convert(file, tmp_path / "g.onnx")
    assert report.training_match == "not applicable"
    assert report.parity.holds
    assert report.arch == "theirs"


@pytest.mark.parametrize("stride_in", ["1x1", "3x3"])
def test_the_stride_is_moved_when_it_is_said(
    make_network, export_file, run_onnx, close, tmp_path, stride_in
):
    """The same weights with the stride elsewhere are another network, and the one asked for."""
    wanted = make_network(stride_in=stride_in)
    for came_as in ("1x1", "3x3"):
        path = export_file(make_network(stride_in=came_as), tmp_path / f"{came_as}.onnx")
        report = convert(path, tmp_path / f"g{came_as}.onnx", stride_in=stride_in)
        assert report.parity.holds
        picture = np.random.default_rng(1).integers(0, 256, (1, 64, 64, 3), np.uint8)
        x = torch.from_numpy(report.graph.preprocess.normalise(picture))
        with torch.no_grad():
            close(run_onnx(report.graph.path, picture), wanted(x), 1e-4)


def flat_model(nodes, shape=(1, 3, 8, 8), out=(1, 3), kind=TensorProto.FLOAT, outputs=("y",)):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, out) for name in outputs],
        [numpy_helper.from_array(np.float32([0.5]), "scale")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


POOL = [
    helper.make_node("GlobalAveragePool", ["x"], ["p"]),
    helper.make_node("Flatten", ["p"], ["y"]),
]


@pytest.mark.parametrize(
    ("model", "says"),
    [
        pytest.param(
            flat_model([*POOL, helper.make_node("Relu", ["p"], ["z"])], outputs=("y", "z")),
            r"2 outputs \(y, z\), one is needed",
            id="two outputs",
        ),
        pytest.param(
            flat_model(POOL, shape=(1, 8, 8, 3), out=(1, 8)),
            r"is \[1, 8, 8, 3\], float32 \[N, 3, height, width\] is needed",
            id="channels last",
        ),
        pytest.param(flat_model(POOL, shape=(1, 1, 8, 8), out=(1, 1)), "is needed", id="grey"),
        pytest.param(
            flat_model(
                [
                    helper.make_node("Cast", ["x"], ["f"], to=1),
                    helper.make_node("GlobalAveragePool", ["f"], ["p"]),
                    POOL[1],
                ],
                kind=TensorProto.UINT8,
            ),
            "float32",
            id="bytes in",
        ),
        pytest.param(
            flat_model([POOL[0], helper.make_node("Relu", ["p"], ["y"])], out=(1, 3, 1, 1)),
            r"gives \[1, 3, 1, 1\], a classifier gives \[1, classes\]",
            id="no flatten",
        ),
        pytest.param(
            flat_model([helper.make_node("Identity", ["x"], ["y"])], out=(1, 3, 8, 8)),
            "a classifier gives",
            id="no network",
        ),
        pytest.param(
            flat_model(
                [
                    helper.make_node("QuantizeLinear", ["x", "scale"], ["q"]),
                    helper.make_node("DequantizeLinear", ["q", "scale"], ["d"]),
                    helper.make_node("GlobalAveragePool", ["d"], ["p"]),
                    POOL[1],
                ]
            ),
            "is quantized already",
            id="quantized",
        ),
    ],
)
def test_what_is_no_classifier_of_pictures_is_refused_by_what_it_is(tmp_path, model, says):
    path = tmp_path / "theirs.onnx"
    onnx.save(model, str(path))
    with pytest.raises(ModelError, match=says) as caught:
        convert(path, tmp_path / "g.onnx")
    assert "theirs.onnx" in caught.value.what
    assert len(str(caught.value).splitlines()) <= 2
    assert not (tmp_path / "g.onnx").exists()


def test_two_inputs_are_refused_by_their_names(tmp_path):
    model = flat_model([*POOL])
    model.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, [1]))
    onnx.save(model, str(tmp_path / "theirs.onnx"))
    with pytest.raises(ModelError, match=r"2 inputs \(x, z\), one is needed"):
        read_body(tmp_path / "theirs.onnx", 1)


def test_a_contract_graph_is_not_converted_again(file, tmp_path):
    convert(file, tmp_path / "g.onnx")
    with pytest.raises(ModelError, match="already a contract graph"):
        convert(tmp_path / "g.onnx", tmp_path / "h.onnx")


def test_a_batch_fixed_inside_the_network_is_an_error_with_advice(tmp_path):
    shape = numpy_helper.from_array(np.array([1, 3]), "shape")
    model = flat_model([POOL[0], helper.make_node("Reshape", ["p", "shape"], ["y"])])
    model.graph.initializer.append(shape)
    onnx.save(model, str(tmp_path / "theirs.onnx"))
    assert convert(tmp_path / "theirs.onnx", tmp_path / "g.onnx").parity.holds
    with pytest.raises(ModelError) as caught:
        convert(tmp_path / "theirs.onnx", tmp_path / "h.onnx", batch=2)
    assert "--batch 1" in caught.value.hint


def test_weights_that_are_not_finite_fail_parity(file, tmp_path):
    def spoil(model):
        weight = next(w for w in model.graph.initializer if len(w.dims) == 4)
        values = numpy_helper.to_array(weight).copy()
        values[0] = np.nan
        weight.CopyFrom(numpy_helper.from_array(values, weight.name))

    with pytest.raises((ModelError, ParityError)):
        convert(changed(file, tmp_path, spoil), tmp_path / "g.onnx")
    assert not (tmp_path / "g.onnx").exists()


def test_the_file_of_the_other_tool_is_left_as_it_was(file, tmp_path):
    before = file.read_bytes()
    report = convert(file, tmp_path / "g.onnx")
    assert file.read_bytes() == before
    first = onnx.load(str(report.graph.path)).graph.node
    assert NORMALISED in {name for node in first for name in node.output}
