"""The detector that ships: what it is, how large, and that it finds drawn things."""

import json

import pytest
import sample_detector
import torch
from detector_training import mean_precision
from safetensors import safe_open

from edgeresnet.convert.checkpoint import read_checkpoint
from edgeresnet.convert.detector import spec_of
from edgeresnet.convert.networks import RetinaNet, build, infer_spec
from edgeresnet.datasets.procedural import CLASSES

UNSEEN = 90210, 40  # seed, pictures


@pytest.fixture(scope="module")
def shipped():
    return read_checkpoint(sample_detector.DEFAULT_OUT)


def test_it_is_small_and_says_what_it_is(shipped):
    assert shipped.path.stat().st_size <= 10e6
    assert spec_of(shipped) == sample_detector.SPEC
    assert shipped.labels is not None
    assert shipped.labels.names == CLASSES
    assert shipped.preprocess == sample_detector.PREPROCESS
    with safe_open(shipped.path, "pt") as file:
        said = json.loads(file.metadata()["edgeresnet.accuracy"])
    assert said["pictures"] == 500
    assert said["map50"] >= 85


def test_it_finds_things_on_pictures_it_has_not_seen(shipped, tmp_path):
    network = RetinaNet(sample_detector.SPEC)
    network.load_state_dict(dict(shipped.state), strict=False)
    pictures = sample_detector.draw(tmp_path, UNSEEN)
    _, value50 = mean_precision(network, pictures, sample_detector.PREPROCESS, CLASSES)
    assert value50 >= 75


def test_training_starts_from_the_backbone_of_the_sample_classifier(sample_weights):
    network = sample_detector.fresh(0).eval()
    trained = read_checkpoint(sample_weights)
    classifier = build(infer_spec(trained.shapes)).eval()
    classifier.load_state_dict(dict(trained.state), strict=False)
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    for one, other in zip(network.backbone.body(x), classifier.features(x), strict=True):
        assert torch.equal(one, other)


def test_the_same_seed_begins_with_the_same_weights():
    one, other, third = (sample_detector.fresh(seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(one[key], other[key]) for key in one)
    assert any(not torch.equal(one[key], third[key]) for key in one)
