"""Folding a BatchNorm changes no output, and keeps what the norm knew of the training."""

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from edgeresnet.convert.export import export_module
from edgeresnet.convert.fold import fold_batchnorms, inline_constants

SHAPE = (2, 3, 16, 16)


def picture(seed=0):
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))


def ops(model):
    return [node.op_type for node in model.graph.node]


def conv(bias, **options):
    return nn.Conv2d(3, 6, 3, padding=1, bias=bias, **options)


class Shared(nn.Module):
    """One convolution in front of two norms."""

    def __init__(self):
        super().__init__()
        self.conv = conv(bias=True)
        self.bn1, self.bn2 = nn.BatchNorm2d(6), nn.BatchNorm2d(6)

    def forward(self, x):
        y = self.conv(x)
        return self.bn1(y) + self.bn2(y)


class Twice(nn.Module):
    """One convolution's weights used twice, each time before a norm of its own."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.bn1, self.bn2 = nn.BatchNorm2d(3), nn.BatchNorm2d(3)

    def forward(self, x):
        return self.bn2(self.conv(torch.relu(self.bn1(self.conv(x)))))


class EqualBiases(nn.Module):
    """Two convolutions with the same bias, which exporters store once."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 6, 1), nn.Conv2d(6, 6, 1)
        self.bn1, self.bn2 = nn.BatchNorm2d(6), nn.BatchNorm2d(6)
        for part in (self.conv1, self.conv2):
            nn.init.constant_(part.bias, 0.25)

    def forward(self, x):
        return self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))


@pytest.mark.parametrize(
    ("module", "left"),
    [
        pytest.param(lambda: nn.Sequential(conv(bias=False), nn.BatchNorm2d(6)), 0, id="plain"),
        pytest.param(lambda: nn.Sequential(conv(bias=True), nn.BatchNorm2d(6)), 0, id="bias"),
        pytest.param(
            lambda: nn.Sequential(conv(bias=False, groups=3, stride=2), nn.BatchNorm2d(6)),
            0,
            id="groups",
        ),
        pytest.param(
            lambda: nn.Sequential(conv(bias=False), nn.BatchNorm2d(6, eps=0.1)), 0, id="eps"
        ),
        pytest.param(
            lambda: nn.Sequential(nn.BatchNorm2d(3), conv(bias=False), nn.BatchNorm2d(6)),
            1,
            id="norm first",
        ),
        pytest.param(
            lambda: nn.Sequential(conv(bias=False), nn.ReLU(), nn.BatchNorm2d(6)), 1, id="relu"
        ),
        pytest.param(
            lambda: nn.Sequential(conv(bias=False), nn.BatchNorm2d(6), nn.BatchNorm2d(6)),
            1,
            id="norm after norm",
        ),
        pytest.param(Shared, 2, id="one convolution, two norms"),
        pytest.param(Twice, 2, id="weights used twice"),
        pytest.param(EqualBiases, 0, id="equal biases"),
    ],
)
def test_the_folded_network_is_the_network(module, left, randomise, run_onnx, close):
    torch.manual_seed(1)
    network = randomise(module())
    model = export_module(network, SHAPE)
    before = run_onnx(model, picture())
    fold_batchnorms(model)
    onnx.checker.check_model(model, full_check=True)
    assert ops(model).count("BatchNormalization") == left
    with torch.no_grad():
        close(before, network(picture()))
    close(run_onnx(model, picture()), before)


def test_a_whole_resnet_has_no_norm_left_and_gives_the_same(make_network, run_onnx, close):
    for network in (make_network(), make_network(se=True), make_network(block="basic")):
        model = export_module(network, (1, 3, 64, 64))
        before = run_onnx(model, torch.ones(1, 3, 64, 64))
        fold_batchnorms(model)
        assert "BatchNormalization" not in ops(model)
        close(run_onnx(model, torch.ones(1, 3, 64, 64)), before)
        used = {name for node in model.graph.node for name in node.input}
        assert {w.name for w in model.graph.initializer} <= used


def test_statistics_are_what_the_norm_puts_out_on_pictures_of_the_training(make_network):
    """A norm fed with its own running mean and variance shows the mean and variance kept."""
    network = make_network()
    statistics = fold_batchnorms(export_module(network, (1, 3, 64, 64)))
    norms = {k: m for k, m in network.named_modules() if isinstance(m, nn.BatchNorm2d)}
    assert set(statistics) == set(norms)
    for name, norm in norms.items():
        draw = torch.randn(50, norm.num_features, 8, 8, dtype=torch.float64)
        draw = (draw - draw.mean((0, 2, 3), keepdim=True)) / draw.std(
            (0, 2, 3), keepdim=True, correction=0
        )
        shape = (1, -1, 1, 1)
        fed = draw * norm.running_var.double().sqrt().reshape(shape)
        with torch.no_grad():
            out = norm.double()(fed + norm.running_mean.double().reshape(shape))
        np.testing.assert_allclose(statistics[name].mean, out.mean((0, 2, 3)), atol=1e-6)
        np.testing.assert_allclose(
            statistics[name].variance, out.var((0, 2, 3), correction=0), rtol=1e-5
        )


def test_a_dead_channel_is_folded_without_a_division_by_zero(run_onnx, close):
    network = nn.Sequential(conv(bias=False), nn.BatchNorm2d(6), nn.ReLU()).eval()
    network[1].running_var.zero_()
    network[1].weight.data[2] = 0
    model = export_module(network, SHAPE)
    before = run_onnx(model, picture())
    statistics = fold_batchnorms(model)
    close(run_onnx(model, picture()), before)
    assert statistics["1"].variance[2] == 0
    assert np.isfinite(statistics["1"].variance).all()


def test_a_norm_whose_numbers_are_computed_stays(run_onnx):
    """As some exporters write them: the scale comes out of a node."""
    values = {
        "w": np.ones((2, 3, 1, 1)),
        "half": np.full(2, 0.5),
        "b": np.zeros(2),
        "m": np.zeros(2),
        "v": np.ones(2),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("Add", ["half", "half"], ["g"]),
        helper.make_node("BatchNormalization", ["c", "g", "b", "m", "v"], ["y"], epsilon=0.0),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 2, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2, 2, 2])],
        [numpy_helper.from_array(v.astype(np.float32), k) for k, v in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    assert fold_batchnorms(model) == {}
    assert "BatchNormalization" in ops(model)
    assert (run_onnx(model, np.ones((1, 3, 2, 2), np.float32)) == 3).all()


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("value", numpy_helper.from_array(np.array([2.0], np.float32))),
        ("value_float", 2.0),
        ("value_floats", [2.0]),
    ],
)
def test_constants_of_every_spelling_become_weights(run_onnx, attribute, value):
    nodes = [
        helper.make_node("Constant", [], ["two"], **{attribute: value}),
        helper.make_node("Identity", ["two"], ["same"]),
        helper.make_node("Identity", ["same"], ["again"]),
        helper.make_node("Mul", ["x", "again"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    inline_constants(model.graph)
    assert ops(model) == ["Mul"]
    assert run_onnx(model, np.array([1, 2, 3], np.float32)).tolist() == [2, 4, 6]
