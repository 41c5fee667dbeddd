"""A checkpoint becomes the network that its weights belong to, every key accounted for."""

from pathlib import Path

import pytest
import torch

from edgeresnet.convert.build import network_of
from edgeresnet.convert.checkpoint import Checkpoint
from edgeresnet.core.errors import ModelError, UsageError


def checkpoint(state, **told):
    return Checkpoint(Path("w.pth"), "0" * 64, state, **told)


@pytest.fixture
def state(make_network):
    return dict(make_network().state_dict())


def test_all_that_shapes_tell_is_read_from_them(make_network, state):
    network, spec = network_of(checkpoint(state), None, None)
    assert (spec.block, spec.layers, spec.width, spec.classes) == (
        "bottleneck",
        (1, 1, 1, 1),
        0.125,
        10,
    )
    assert not network.training
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(network(x), make_network()(x))


@pytest.mark.parametrize(
    ("option", "in_file", "found"),
    [
        (None, None, "3x3"),
        ("1x1", None, "1x1"),
        (None, "1x1", "1x1"),
        ("3x3", "1x1", "3x3"),
        ("1x1", "3x3", "1x1"),
    ],
)
def test_the_stride_is_the_options_else_the_files_else_v15(state, option, in_file, found):
    network, spec = network_of(checkpoint(state, stride_in=in_file), None, option)
    assert spec.stride_in == found
    block = network.layer2[0]
    assert (block.conv1.stride[0], block.conv2.stride[0]) == ((2, 1) if found == "1x1" else (1, 2))


def test_basic_blocks_have_no_stride_to_place(make_network):
    state = make_network(block="basic").state_dict()
    assert network_of(checkpoint(state), None, "3x3")[1].stride_in == "3x3"
    with pytest.raises(UsageError, match="has no 1x1 convolution"):
        network_of(checkpoint(state), None, "1x1")


def test_the_counter_of_batches_may_be_absent(state):
    fewer = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    assert network_of(checkpoint(fewer), None, None)[1].layers == (1, 1, 1, 1)


def test_a_named_architecture_takes_width_and_classes_from_the_weights(make_network):
    state = make_network(layers=(3, 4, 6, 3)).state_dict()
    _, spec = network_of(checkpoint(state), "resnet50", None)
    assert (spec.width, spec.classes) == (0.125, 10)


def test_the_wrong_architecture_lists_a_few_keys_of_each_kind(state):
    with pytest.raises(ModelError) as caught:
        network_of(checkpoint(state), "resnet18", None)
    assert "does not fit resnet18" in caught.value.what
    assert all(word in caught.value.what for word in ("missing: ", "unexpected: ", "misshapen: "))
    assert "more" in caught.value.what
    assert len(caught.value.what) < 1200
    assert "--arch" in caught.value.hint


def test_an_unknown_architecture_gets_a_suggestion(state):
    with pytest.raises(UsageError, match="--arch: no network named 'resnet-50'") as caught:
        network_of(checkpoint(state), "resnet-50", None)
    assert caught.value.hint == "did you mean 'resnet50'?"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("key", ["conv1.weight", "layer3.0.bn2.running_var", "fc.bias"])
def test_a_value_that_is_not_finite_is_found_wherever_it_is(state, key, value):
    state[key] = state[key].clone()
    state[key].view(-1)[-1] = value
    with pytest.raises(ModelError, match=f"{key} holds values that are not finite"):
        network_of(checkpoint(state), None, None)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param(lambda s: s.pop("fc.weight"), r"fc\.weight", id="no head"),
        pytest.param(lambda s: s.pop("layer3.0.bn2.bias"), r"layer3\.0\.bn2\.bias", id="one gone"),
        pytest.param(lambda s: s.update({"fc.weight": torch.zeros(10, 7)}), r"fc\.weight", id="7"),
        pytest.param(
            lambda s: s.update({"layer1.0.conv4.weight": torch.zeros(1)}), "conv4", id="one more"
        ),
        pytest.param(
            lambda s: s.update({"conv1.weight": torch.zeros(3, 3, 7, 7)}), r"conv1|bn1", id="stem"
        ),
    ],
)
def test_weights_that_do_not_fit_name_the_first_that_does_not(state, change, says):
    change(state)
    with pytest.raises(ModelError, match=says) as caught:
        network_of(checkpoint(state), None, None)
    assert "w.pth is no ResNet that edgeresnet knows" in caught.value.what
    assert "factory" in caught.value.hint
