"""The stride of bottlenecks is found by their form and moved without a trace left."""

import pytest
import torch
from onnx import helper

from edgeresnet.convert.export import export_module
from edgeresnet.convert.fold import fold_batchnorms
from edgeresnet.convert.networks import ResNetSpec, build
from edgeresnet.core.contract import copy_of
from edgeresnet.match.stride import acts_on, move_stride, stride_of


def body(folded=True, **changes):
    torch.manual_seed(1)
    table = {"block": "bottleneck", "layers": (1, 2, 1, 1), "width": 0.0625, "classes": 3}
    model = export_module(build(ResNetSpec(**{**table, **changes})).eval(), (1, 3, 64, 64))
    if folded:
        fold_batchnorms(model)
    return model


def strides(model):
    return [
        next((list(a.ints) for a in node.attribute if a.name == "strides"), [1, 1])
        for node in model.graph.node
        if node.op_type == "Conv"
    ]


@pytest.mark.parametrize("folded", [True, False])
@pytest.mark.parametrize("extra", [{}, {"groups": 4, "width_per_group": 32}, {"se": True}])
def test_the_place_of_the_stride_is_read(folded, extra):
    for place in ("1x1", "3x3"):
        assert stride_of(body(folded, stride_in=place, **extra)) == place


def test_moving_it_gives_the_network_that_has_it_there():
    for place, other in (("1x1", "3x3"), ("3x3", "1x1")):
        model, wanted = body(stride_in=place), body(stride_in=other)
        assert move_stride(model, other)
        assert strides(model) == strides(wanted)
        assert stride_of(model) == other


def test_moving_it_there_and_back_changes_nothing():
    model = body()
    before = model.SerializeToString(deterministic=True)
    move_stride(model, "1x1")
    move_stride(model, "3x3")
    assert model.SerializeToString(deterministic=True) == before


def test_asking_changes_nothing():
    model = body()
    before = model.SerializeToString()
    stride_of(model)
    assert model.SerializeToString() == before


def test_a_network_without_bottlenecks_has_no_such_place():
    basic = body(block="basic")
    assert stride_of(basic) == ""
    before = strides(basic)
    assert not move_stride(basic, "1x1")
    assert strides(basic) == before


def test_the_stem_and_the_downsampling_keep_their_strides():
    model = body(stride_in="3x3")
    named = {node.name: node for node in model.graph.node}
    move_stride(model, "1x1")
    for name in ("conv1", "layer2.0.downsample.0"):
        assert [list(a.ints) for a in named[name].attribute if a.name == "strides"] == [[2, 2]]


def test_an_exporter_that_leaves_default_strides_out_is_understood():
    model = copy_of(body(stride_in="3x3"))
    for node in model.graph.node:
        kept = [a for a in node.attribute if not (a.name == "strides" and list(a.ints) == [1, 1])]
        del node.attribute[:]
        node.attribute.extend(kept)
    assert stride_of(model) == "3x3"
    move_stride(model, "1x1")
    assert strides(model) == strides(body(stride_in="1x1"))
    assert all(len({a.name for a in n.attribute}) == len(n.attribute) for n in model.graph.node)


def test_a_strided_3x3_behind_no_1x1_is_no_bottleneck():
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], kernel_shape=[3, 3], strides=[1, 1]),
        helper.make_node("Conv", ["a", "w"], ["y"], kernel_shape=[3, 3], strides=[2, 2]),
    ]
    model = helper.make_model(helper.make_graph(nodes, "g", [], []))
    assert stride_of(model) == ""


@pytest.mark.parametrize("folded", [True, False])
@pytest.mark.parametrize("place", ["1x1", "3x3"])
def test_it_acts_on_the_norm_behind_the_first_3x3_that_has_the_choice(folded, place):
    assert acts_on(body(folded, stride_in=place)) == "layer2.0.bn2"


def test_it_acts_on_nothing_where_there_is_no_choice():
    assert acts_on(body(block="basic")) == ""
