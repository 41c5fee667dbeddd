"""The pyramid's form, and the names of its weights through the years."""

import pytest
import torch

from edgeresnet.convert.networks import ResNetSpec
from edgeresnet.convert.networks.fpn import (
    Backbone,
    current_names,
    flatten,
    frozen_eps,
    infer_backbone,
)

SPEC = ResNetSpec("bottleneck", (1, 1, 1, 1), width=0.125, classes=1)
BASIC = ResNetSpec("basic", (2, 1, 1, 1), width=0.125, classes=1)


def shapes_of(network):
    return {f"backbone.{k}": tuple(v.shape) for k, v in network.state_dict().items()}


@pytest.mark.parametrize(
    ("extra", "first", "sides"),
    [
        ("pool", 1, [32, 16, 8, 4, 2]),
        ("p5", 2, [16, 8, 4, 2, 1]),
        ("c5", 2, [16, 8, 4, 2, 1]),
    ],
)
def test_each_level_is_half_of_the_one_below(extra, first, sides):
    levels = Backbone(SPEC, 16, extra, first)(torch.zeros(2, 3, 128, 128))
    assert [tuple(level.shape) for level in levels] == [(2, 16, s, s) for s in sides]


@pytest.mark.parametrize("spec", [SPEC, BASIC])
@pytest.mark.parametrize("extra", ["pool", "p5", "c5"])
def test_the_backbone_is_told_from_shapes(spec, extra):
    network = Backbone(spec, 16, extra, 1 if extra == "pool" else 2)
    assert infer_backbone(shapes_of(network)) == (spec, 16, extra)


def test_the_backbone_holds_no_classifier():
    assert not [name for name in shapes_of(Backbone(SPEC, 16, "p5", 2)) if "fc" in name]


def test_coarse_levels_reach_every_finer_one():
    """What only layer4 sees changes the finest map too, by nearest neighbours."""
    network = Backbone(SPEC, 16, "p5", 2).eval()
    x = torch.zeros(1, 3, 64, 64)
    before = network(x)[0]
    with torch.no_grad():
        network.fpn.inner_blocks[2][0].bias += 1
    assert (network(x)[0] - before).abs().amax(1).gt(0).all()


def test_maps_are_flattened_place_by_place():
    level = torch.arange(2 * 6 * 2 * 2.0).reshape(2, 6, 2, 2)  # two anchors of three columns
    flat = flatten([level, level[:, :, :1, :1]], 3)
    assert flat.shape == (2, 10, 3)
    assert torch.equal(flat[0, 0], level[0, :3, 0, 0])
    assert torch.equal(flat[0, 1], level[0, 3:, 0, 0])
    assert torch.equal(flat[1, 2], level[1, :3, 0, 1])
    assert torch.equal(flat[1, 9], level[1, 3:, 0, 0])


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ("backbone.fpn.inner_blocks.2.weight", "backbone.fpn.inner_blocks.2.0.weight"),
        ("backbone.fpn.layer_blocks.0.bias", "backbone.fpn.layer_blocks.0.0.bias"),
        (
            "head.classification_head.conv.6.weight",
            "head.classification_head.conv.3.0.weight",
        ),
        ("rpn.head.conv.bias", "rpn.head.conv.0.0.bias"),
        ("head.regression_head.bbox_reg.weight", "head.regression_head.bbox_reg.weight"),
        ("backbone.fpn.extra_blocks.p6.weight", "backbone.fpn.extra_blocks.p6.weight"),
    ],
)
def test_names_of_before_are_read_and_todays_stay(before, now):
    assert current_names({before: 1}) == {now: 1}
    assert current_names({now: 1}) == {now: 1}


def test_the_heads_of_fcos_have_always_had_their_names():
    names = {
        "head.classification_head.conv.3.weight": 1,
        "head.regression_head.bbox_ctrness.bias": 2,
    }
    assert current_names(names) == names


def test_only_the_first_coco_files_have_norms_without_an_epsilon():
    old, new = "backbone.fpn.inner_blocks.0.weight", "backbone.fpn.inner_blocks.0.0.weight"
    assert frozen_eps({old: 1}) == 0
    assert frozen_eps({new: 1}) == 1e-5
    assert frozen_eps({old: 1, "backbone.body.bn1.num_batches_tracked": 1}) == 1e-5


def test_the_norms_of_fcos_have_an_epsilon_under_any_names():
    names = {"backbone.fpn.inner_blocks.0.weight": 1}
    assert frozen_eps({**names, "head.regression_head.bbox_ctrness.weight": 1}) == 1e-5
