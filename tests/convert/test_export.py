"""Nodes are named after the modules they come from."""

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from edgeresnet.convert.export import export_module, module_outputs, parameters
from edgeresnet.core.errors import ModelError


def test_every_layer_is_a_node_of_its_name_and_its_output_too(make_network):
    network = make_network(layers=(2, 1, 1, 1))
    model = export_module(network, (1, 3, 64, 64))
    layers = {
        name
        for name, module in network.named_modules()
        if isinstance(module, (nn.Conv2d, nn.BatchNorm2d, nn.Linear, nn.MaxPool2d))
    }
    names = [node.name for node in model.graph.node]
    assert layers <= set(names)
    assert len(names) == len(set(names))
    for node in model.graph.node:
        if node.name in layers and node.output[0] != model.graph.output[0].name:
            assert node.output[0] == node.name


def test_a_module_used_again_gets_a_number(make_network):
    model = export_module(make_network(), (1, 3, 64, 64))
    uses = [n.name for n in model.graph.node if n.name.startswith("layer1.0.relu")]
    assert len(set(uses)) == len(uses) == 3
    assert "layer1.0.relu" in uses


def test_the_export_is_one_self_contained_checked_file(make_network, run_onnx, close):
    network = make_network()
    model = export_module(network, (2, 3, 64, 96))
    onnx.checker.check_model(model, full_check=True)
    assert model.opset_import[0].version == 17
    assert not any(w.HasField("data_location") and w.data_location for w in model.graph.initializer)
    x = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        close(run_onnx(model, x), network(x))


def test_exporting_leaves_the_module_as_it_was(make_network):
    network = make_network()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    export_module(network, (1, 3, 64, 64))
    after = network.state_dict()
    assert not network.training
    assert all(torch.equal(before[k], after[k]) for k in before)


class Fails(nn.Module):
    """Raises its own error when it runs."""

    def forward(self, x):
        raise KeyError(f"no such thing in {tuple(x.shape)}")


def test_a_module_that_cannot_be_traced_is_refused_with_its_reason_and_the_size():
    with pytest.raises(ModelError, match=r"input of 1x3x8x9: .*no such thing") as caught:
        export_module(Fails(), (1, 3, 8, 9))
    assert len(str(caught.value).splitlines()) == 2


def test_a_size_too_small_for_the_network_is_refused_not_a_traceback():
    network = nn.Sequential(nn.Conv2d(3, 4, 7), nn.Conv2d(4, 4, 7))
    with pytest.raises(ModelError, match="1x3x8x8"):
        export_module(network, (1, 3, 8, 8))


def test_outputs_of_layers_are_those_of_the_forward_pass(make_network):
    network = make_network()
    x = torch.randn(2, 3, 64, 64)
    logits, layers = module_outputs(network, x)
    with torch.no_grad():
        assert torch.equal(logits, network(x))
        stem = network.bn1(network.conv1(x))
    assert np.array_equal(layers["bn1"], stem.numpy())  # kept before the ReLU works in place
    assert np.array_equal(layers["fc"], logits.numpy())
    assert "layer1.0.conv3" in layers
    assert "layer1.0" not in layers
    assert not any(module._forward_hooks for module in network.modules())


def test_a_failing_pass_leaves_no_hooks():
    network = nn.Sequential(nn.Identity(), Fails())
    with pytest.raises(KeyError):
        module_outputs(network, torch.zeros(1, 3, 4, 4))
    assert not any(module._forward_hooks for module in network.modules())


def test_parameters_are_counted_as_torch_counts_them():
    assert parameters(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))) == 3 * 4 + 4 + 2 * 4
