"""The graph is proved to be the network, picture for picture, and where it is not is said."""

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from edgeresnet.backends.onnxruntime.reference import open_model
from edgeresnet.convert.export import export_module, module_outputs
from edgeresnet.convert.fold import fold_batchnorms
from edgeresnet.convert.parity import TOLERANCE, Parity, check_parity, parity_error
from edgeresnet.core.contract import copy_of, prepend_normalisation, rename_output
from edgeresnet.core.preprocess import Color, Preprocess
from edgeresnet.core.tensors import LOGITS

PREPROCESS = Preprocess(size=(64, 64), resize=64)


def graph_of_network(network, batch=1, preprocess=PREPROCESS):
    model = export_module(network, (batch, 3, *preprocess.size))
    fold_batchnorms(model)
    rename_output(model)
    prepend_normalisation(model, preprocess, batch)
    return model


def reference(network):
    def run(x, wanted):
        logits, layers = module_outputs(network, torch.from_numpy(x), wanted)
        return {LOGITS: logits.numpy()}, layers

    return run


@pytest.fixture(scope="module")
def network(make_network):
    return make_network()


@pytest.fixture(scope="module")
def model(network):
    return graph_of_network(network)


@pytest.fixture
def pictures(rng):
    return list(rng.integers(0, 256, (3, 64, 64, 3), np.uint8))


FAMILIES = {
    "resnet18": {"block": "basic", "layers": (2, 2, 2, 2)},
    "resnet50": {"layers": (3, 4, 6, 3)},
    "resnet50 v1": {"layers": (3, 4, 6, 3), "stride_in": "1x1"},
    "wide": {"width_per_group": 128},
    "resnext": {"groups": 8, "width_per_group": 16},
    "se": {"se": True},
    "se basic": {"block": "basic", "se": True},
}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_equal_up_to_rounding(make_network, pictures, family):
    network = make_network(**FAMILIES[family])
    found = check_parity(
        reference(network), graph_of_network(network), PREPROCESS, pictures, open_model
    )
    assert found.holds
    assert found.relative_error < TOLERANCE / 50  # rounding gives 1e-6
    assert (found.pictures, found.labels_agree, found.parted) == (3, 3, ())


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("color", Color)
def test_batches_and_colour_orders_are_equal_too(network, pictures, batch, color):
    preprocess = Preprocess(size=(64, 64), resize=64, color=color, mean=(0.1, 0.4, 0.7))
    model = graph_of_network(network, batch, preprocess)
    assert check_parity(reference(network), model, preprocess, pictures, open_model).holds


def spoiled(model, name, change):
    copy = copy_of(model)
    (weight,) = [w for w in copy.graph.initializer if w.name == name]
    values = numpy_helper.to_array(weight).copy()
    values.reshape(-1)[0] += np.float32(change)
    weight.CopyFrom(numpy_helper.from_array(values, name))
    return copy


@pytest.mark.parametrize(
    ("weight", "first"),
    [
        ("conv1.weight", "bn1"),
        ("layer1.0.conv3.weight", "layer1.0.bn3"),
        ("layer3.0.downsample.0.weight", "layer3.0.downsample.1"),
        ("layer4.0.conv1.weight", "layer4.0.bn1"),
    ],
)
def test_one_changed_weight_is_found_and_its_layer_named_first(
    network, model, pictures, weight, first
):
    found = check_parity(
        reference(network), spoiled(model, weight, 2.0), PREPROCESS, pictures, open_model
    )
    assert not found.holds
    assert found.parted[0] == first
    assert len(found.parted) <= 3
    error = parity_error(found, "w.pth")
    assert error.exit_code == 4
    assert error.what.startswith("w.pth: ")
    assert f"first apart at {first}" in error.what


def test_a_change_of_the_last_layer_is_found(network, model, pictures):
    spoiled_model = spoiled(model, "fc.bias", 1.0)
    found = check_parity(reference(network), spoiled_model, PREPROCESS, pictures, open_model)
    assert not found.holds
    assert set(found.parted) <= {"fc", "logits"}


def test_a_mistake_in_the_first_nodes_is_found(network, pictures):
    """The network's side normalises on its own."""
    other = PREPROCESS.model_copy(update={"mean": (0.485, 0.456, 0.5)})
    model = graph_of_network(network, 1, other)
    found = check_parity(reference(network), model, PREPROCESS, pictures, open_model)
    assert not found.holds
    assert found.parted[0] == "bn1"


def test_outputs_that_are_not_finite_are_never_equal(network, model, pictures):
    found = check_parity(
        reference(network), spoiled(model, "fc.bias", np.nan), PREPROCESS, pictures, open_model
    )
    assert not found.holds
    assert found.relative_error == np.inf


def test_one_wrong_label_is_enough_to_fail():
    assert Parity(8, 1e-6, 8).holds
    assert not Parity(8, 1e-6, 7).holds
    assert not Parity(8, 2 * TOLERANCE, 8).holds
    assert Parity(8, 1.23456e-6, 8).as_evidence()["relative_error"] == 1.23e-6
    assert Parity(8, 1e-2, 7, ("fc",)).as_evidence()["verdict"] == "differs"


def test_the_graph_that_was_checked_is_not_changed(network, model, pictures):
    before = model.SerializeToString()
    check_parity(reference(network), model, PREPROCESS, pictures, open_model)
    assert model.SerializeToString() == before
    onnx.checker.check_model(model, full_check=True)
