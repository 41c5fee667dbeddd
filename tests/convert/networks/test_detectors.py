"""Each detector is told from its shapes, trains, and gives what its parts give."""

from dataclasses import replace

import pytest
import torch

from edgeresnet.convert.networks import (
    FasterRCNN,
    FCOSSpec,
    ResNetSpec,
    RetinaNetSpec,
    build_detector,
    detector_name,
    infer_detector,
    is_detector,
)
from edgeresnet.convert.networks.decode import Decode, Detector

BACKBONE = ResNetSpec("bottleneck", (1, 1, 1, 1), width=0.125, classes=1)


def shapes_of(network):
    return {key: tuple(value.shape) for key, value in network.state_dict().items()}


def test_the_spec_is_read_from_shapes(detector):
    assert infer_detector(shapes_of(detector)) == detector.spec
    assert is_detector(detector.state_dict())


def test_a_classifier_is_no_detector(make_network):
    assert not is_detector(make_network().state_dict())


@pytest.mark.parametrize(
    ("kind", "changes", "name"),
    [
        ("retinanet", {}, "retinanet_resnet50_fpn"),
        ("retinanet v2", {}, "retinanet_resnet50_fpn_v2"),
        ("fcos", {}, "fcos_resnet50_fpn"),
        ("faster rcnn", {}, "fasterrcnn_resnet50_fpn"),
    ],
)
def test_names_are_torchvisions(make_detector, kind, changes, name):
    spec = make_detector(kind).spec
    full = replace(spec.backbone, layers=(3, 4, 6, 3))
    assert detector_name(replace(spec, backbone=full, **changes)) == name


@pytest.mark.parametrize(
    ("kind", "gone"),
    [
        ("retinanet", "head.classification_head.cls_logits.weight"),
        ("retinanet", "head.regression_head.bbox_reg.weight"),
        ("fcos", "backbone.fpn.inner_blocks.0.0.weight"),
        ("faster rcnn", "roi_heads.box_predictor.cls_score.weight"),
    ],
)
def test_a_missing_weight_is_named(make_detector, kind, gone):
    shapes = shapes_of(make_detector(kind))
    del shapes[gone]
    with pytest.raises(ValueError, match=gone):
        infer_detector(shapes)


def test_a_head_of_another_number_of_anchors_is_refused(make_detector):
    shapes = shapes_of(make_detector("retinanet"))
    shapes["head.regression_head.bbox_reg.weight"] = (12, 32, 3, 3)
    with pytest.raises(ValueError, match="nine anchors"):
        infer_detector(shapes)


def test_a_head_of_no_whole_number_of_classes_is_named(make_detector):
    shapes = shapes_of(make_detector("retinanet"))
    shapes["head.classification_head.cls_logits.weight"] = (25, 32, 3, 3)
    with pytest.raises(ValueError, match=r"cls_logits\.weight: 25 outputs, nine anchors"):
        infer_detector(shapes)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: RetinaNetSpec(BACKBONE, 0), "classes is 0"),
        (lambda: RetinaNetSpec(BACKBONE, 3, 40, norm=True), "multiple of 32"),
        (lambda: RetinaNetSpec(BACKBONE, 3, 256, extra="c5"), "other channels"),
        (lambda: FCOSSpec(BACKBONE, 3, 40), "multiple of 32"),
    ],
)
def test_a_spec_that_cannot_be_is_refused(make, says):
    with pytest.raises(ValueError, match=says):
        make()


@pytest.mark.parametrize("kind", ["retinanet", "retinanet v2", "fcos"])
def test_outputs_and_anchors_are_of_one_length_and_train(make_detector, kind):
    network = build_detector(make_detector(kind).spec).train()
    outputs = network(torch.randn(2, 3, 128, 128))
    anchors = network.anchors((128, 128))
    assert {output.shape[1] for output in outputs} == {len(anchors)}
    sum(output.sum() for output in outputs).backward()
    assert all(weight.grad is not None for weight in network.parameters())


def test_before_training_nearly_every_place_is_background(make_detector):
    network = build_detector(make_detector("retinanet").spec).eval()
    logits, deltas = network(torch.zeros(1, 3, 64, 64))
    assert logits.sigmoid().mean().item() == pytest.approx(0.01, rel=0.2)
    assert deltas.abs().max() < 0.5


def test_the_smallest_anchor_moves_all_of_them(make_detector):
    network = make_detector("retinanet", smallest=16)
    sides = network.anchors((128, 128))
    assert (sides[:, 2:] - sides[:, :2]).min() < 16
    assert len(sides) == len(make_detector("retinanet").anchors((128, 128)))


def whole(network, x):
    """Every class of every anchor, decoded: what the graph's tail may choose from."""
    logits, deltas, *others = network(x)
    scores = network.scores(logits, *others)
    boxes = network.decode(deltas, network.anchors(x.shape[2:]))
    width, height = x.shape[3], x.shape[2]
    return boxes.clamp(min=0).minimum(torch.tensor([width, height] * 2)), scores


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("kind", ["retinanet", "fcos"])
@pytest.mark.parametrize("candidates", [40, 1000])
def test_the_tail_gives_the_best_of_all_anchors_and_classes(make_detector, kind, batch, candidates):
    network = make_detector(kind)
    x = torch.randn(batch, 3, 64, 128, generator=torch.Generator().manual_seed(1))
    detect = Detector(network, Decode(network, 3, (64, 128), batch, candidates)).eval()
    with torch.no_grad():
        found, ranks, class_ids = detect(x)
        boxes, scores = whole(network, x)
    count = min(candidates, boxes.shape[1])
    assert found.shape == (batch, count, 4)
    assert class_ids.dtype == torch.int32
    for place in range(batch):
        best = scores[place].flatten().topk(count)
        torch.testing.assert_close(ranks[place], best.values)
        for box, score, label in zip(found[place], ranks[place], class_ids[place], strict=True):
            same = (scores[place][:, label] - score).abs() < 1e-6
            assert (boxes[place][same] - box).abs().amax(1).min() < 1e-3


def test_parts_keep_their_names_in_the_whole(make_detector):
    network = make_detector("retinanet")
    names = Detector(network, Decode(network, 3, (64, 64))).state_dict()
    assert names.keys() == network.state_dict().keys()


def test_the_second_stage_gives_no_background(make_detector):
    network = make_detector("faster rcnn")
    assert isinstance(network, FasterRCNN)
    from edgeresnet.convert.networks.faster_rcnn import DecodeRegions

    with torch.no_grad():
        boxes, scores, class_ids = network.detect(
            torch.randn(1, 3, 64, 64), DecodeRegions(network, (64, 64))
        )
    assert class_ids.min() >= 1
    assert class_ids.max() <= 3
    assert bool((scores[0, :-1] >= scores[0, 1:]).all())
    assert boxes.min() >= 0
    assert boxes.max() <= 64
