"""Noise is put down to the layer that adds it, not to those that pass it on."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeresnet.backends.onnxruntime.reference import open_model
from edgeresnet.core.contract import OPSET, copy_of
from edgeresnet.core.tensors import IMAGE
from edgeresnet.quantize.layers import layer_noise

LAYERS = ("a", "b", "c", "d")


@pytest.fixture
def model(rng):
    """Four convolutions in a row, and one beside ``b`` that joins ``c``."""
    nodes = [helper.make_node("Cast", [IMAGE], ["float"], to=TensorProto.FLOAT)]
    nodes.append(helper.make_node("Transpose", ["float"], ["x"], perm=[0, 3, 1, 2]))
    before = "x"
    for name in LAYERS:
        nodes.append(helper.make_node("Conv", [before, f"{name}.w"], [f"{name}.y"], name=name))
        nodes.append(helper.make_node("Relu", [f"{name}.y"], [name]))
        before = name
    weights = [
        numpy_helper.from_array(rng.normal(0, 0.6, (3, 3, 1, 1)).astype(np.float32), f"{n}.w")
        for n in LAYERS
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(IMAGE, TensorProto.UINT8, [1, 8, 8, 3])],
        [helper.make_tensor_value_info("d.y", TensorProto.FLOAT, None)],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)


@pytest.fixture
def pictures(rng):
    return list(rng.integers(0, 256, (3, 8, 8, 3), np.uint8))


def spoiled(model, layer, size):
    """A copy in which one layer's weights are off by ``size``."""
    copy = copy_of(model)
    for weight in copy.graph.initializer:
        if weight.name == f"{layer}.w":
            values = numpy_helper.to_array(weight) * np.float32(1 + size)
            weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    return copy


@pytest.mark.parametrize("layer", LAYERS)
def test_the_layer_that_was_spoiled_comes_first(model, pictures, layer):
    found = layer_noise(model, spoiled(model, layer, 0.1), pictures, open_model)
    assert sorted(noise.layer for noise in found) == list(LAYERS)
    assert found[0].layer == layer
    by_name = {noise.layer: noise for noise in found}
    assert by_name[layer].snr_db == pytest.approx(20, abs=0.1)  # a tenth of the signal
    for later in LAYERS[LAYERS.index(layer) + 1 :]:
        assert by_name[later].snr_db == pytest.approx(20, abs=0.1)
        assert by_name[later].lost_db == pytest.approx(0, abs=0.1)


def test_equal_graphs_have_no_noise(model, pictures):
    assert min(noise.snr_db for noise in layer_noise(model, model, pictures, open_model)) > 60


def test_a_larger_fault_is_a_larger_loss(model, pictures):
    small, large = (
        layer_noise(model, spoiled(model, "b", size), pictures, open_model)[0]
        for size in (0.01, 0.3)
    )
    assert small.layer == large.layer == "b"
    assert large.lost_db > small.lost_db
