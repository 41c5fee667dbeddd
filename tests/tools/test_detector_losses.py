"""Anchors are given to the right boxes, and the losses are the published ones."""

import pytest
import torch
from detector_losses import NEITHER, NOTHING, Truth, assign, generalized, iou, losses
from torch.nn.functional import binary_cross_entropy_with_logits

from edgeresnet.convert.networks.anchors import encode_deltas

BOX = torch.tensor([[10.0, 10.0, 30.0, 30.0]])
NO_TRUTH = Truth(torch.zeros(0, 4), torch.zeros(0).long())


def shifted(*steps):
    """BOX moved right by each of these."""
    return torch.cat([BOX + torch.tensor([x, 0.0, x, 0.0]) for x in steps])


def test_an_anchor_stands_for_a_box_for_none_or_for_neither_by_its_overlap():
    anchors = shifted(0, 6, 7.5, 10, 100)
    assert iou(BOX, anchors)[0].tolist() == pytest.approx([1, 14 / 26, 12.5 / 27.5, 1 / 3, 0])
    assert assign(anchors, BOX).tolist() == [0, 0, NEITHER, NOTHING, NOTHING]


def test_a_box_that_no_anchor_fits_has_the_one_that_overlaps_it_most():
    assert assign(shifted(10, 12, 100), BOX).tolist() == [0, NOTHING, NOTHING]


def test_without_boxes_every_anchor_is_background():
    assert assign(shifted(0, 1), torch.zeros(0, 4)).tolist() == [NOTHING, NOTHING]


def test_a_right_box_costs_nothing_and_one_far_away_more_than_one_that_only_misses():
    costs = generalized(shifted(0, 6, 30, 300), BOX.expand(4, 4)).tolist()
    assert costs[0] == pytest.approx(0)
    assert costs[1] == pytest.approx(12 / 26)
    assert 1 < costs[2] < costs[3] < 2


def focal(logit, target):
    """Of one logit, as the paper writes it."""
    p = torch.sigmoid(logit)
    right, weight = (p, 0.25) if target else (1 - p, 0.75)
    aim = torch.tensor(float(target))
    return weight * (1 - right) ** 2 * binary_cross_entropy_with_logits(logit, aim)


def test_the_loss_of_classes_is_focal_and_leaves_out_anchors_that_are_neither():
    anchors = shifted(0, 6, 7.5, 10, 100)
    truths = [Truth(BOX, torch.tensor([1])), NO_TRUTH]
    logits = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(5))
    deltas = encode_deltas(BOX.expand(5, 4), anchors).expand(2, 5, 4)
    of_classes, of_boxes = losses(logits, deltas, anchors, truths)
    wanted = sum(
        focal(logits[n, a, c], n == 0 and a < 2 and c == 1)
        for n in range(2)
        for a in range(5)
        for c in range(3)
        if (n, a) != (0, 2)
    )
    assert float(of_classes) == pytest.approx(
        float(wanted) / 2, rel=1e-5
    )  # two anchors stand for the box
    assert float(of_boxes) == pytest.approx(0, abs=1e-5)


def test_a_batch_without_any_box_still_teaches():
    logits = torch.zeros(1, 2, 3, requires_grad=True)
    of_classes, of_boxes = losses(logits, torch.zeros(1, 2, 4), shifted(0, 1), [NO_TRUTH])
    (of_classes + of_boxes).backward()
    assert of_boxes == 0
    assert (logits.grad > 0).all()
