"""Suppression and RoIAlign in torch are what ONNX Runtime has under those names."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn

from edgeresnet.backends.onnxruntime.reference import open_model
from edgeresnet.convert.networks.regions import PROPOSALS, Pool, Proposals, RoIAlign, Suppress


class AsModule(nn.Module):
    def __init__(self, call):
        super().__init__()
        self.call = call

    def forward(self, *x):
        return self.call(*x)


def in_onnx(call, *inputs, path):
    names = [f"x{i}" for i in range(len(inputs))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            AsModule(call), inputs, str(path), opset_version=17, dynamo=False, input_names=names
        )
    feeds = {name: value.numpy() for name, value in zip(names, inputs, strict=True)}
    (found,) = open_model(path)(feeds).values()
    return found


def boxes_of(count, seed, side=100.0):
    corner = torch.rand(count, 2, generator=torch.Generator().manual_seed(seed)) * side
    size = torch.rand(count, 2, generator=torch.Generator().manual_seed(seed + 1)) * side / 2 + 1
    return torch.cat([corner, (corner + size).clamp(max=side)], 1)


@pytest.mark.parametrize("count", [5, 30, 80])
def test_suppression_is_the_operators(tmp_path, count):
    boxes = boxes_of(60, 3)
    scores = torch.rand(60, generator=torch.Generator().manual_seed(9)) - 0.2

    def call(b, s):
        return Suppress.apply(b, s, 0.3, count)

    expected = call(boxes, scores)
    assert np.array_equal(in_onnx(call, boxes, scores, path=tmp_path / "s.onnx"), expected)
    kept = expected[expected < 60]
    assert bool((scores[kept] > 0).all())
    assert len(expected) == count
    assert bool((expected[len(kept) :] == 60).all())


def test_of_two_that_overlap_the_better_stays():
    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 0, 10, 10], [50, 50, 60, 60]])
    assert Suppress.apply(boxes, torch.tensor([0.5, 0.9, 0.1]), 0.5, 3).tolist() == [1, 2, 3]


@pytest.mark.parametrize("scale", [1 / 4, 1 / 32])
def test_roi_align_is_the_operators(tmp_path, scale):
    """Boxes at the border, empty ones and those smaller than a place as well."""
    features = torch.randn(1, 3, int(100 * scale) + 1, int(100 * scale), generator=None)
    edge = torch.tensor([[99.0, 99, 100, 100], [0, 0, 0, 0], [0, 0, 100, 100], [30, 40, 31, 90]])
    boxes = torch.cat([boxes_of(30, 5), edge])

    def call(f, b):
        return RoIAlign.apply(f, b, scale)

    found = in_onnx(call, features, boxes, path=tmp_path / "r.onnx")
    np.testing.assert_allclose(found, call(features, boxes), atol=1e-4)


def test_each_box_is_cut_from_the_level_that_suits_its_size():
    levels = [torch.full((1, 1, 1024 >> i, 1024 >> i), float(i)) for i in range(2, 6)]
    sides = torch.tensor([20.0, 111, 113, 223, 225, 447, 449, 1000])
    boxes = torch.stack([sides * 0, sides * 0, sides, sides], 1)
    assert Pool()(boxes, *levels)[:, 0, 3, 3].tolist() == [2, 2, 3, 3, 4, 4, 5, 5]


def test_proposals_are_filled_up_with_what_counts_as_nothing():
    anchors = boxes_of(6, 1, side=64.0)
    anchors[0] = torch.tensor([70.0, 70, 80, 80])  # outside: nothing of it is left
    stage = Proposals(anchors, [4, 2], (64, 64))
    objectness = [torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 1, 2)]
    deltas = [torch.zeros(1, 4, 2, 2), torch.zeros(1, 4, 1, 2)]
    boxes, real = stage(objectness, deltas)
    assert boxes.shape == (PROPOSALS, 4)
    count = int(real.sum())
    assert 0 < count <= 5
    assert not boxes[count:].any()
    assert real[:count].all()
