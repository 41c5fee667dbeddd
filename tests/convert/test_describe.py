"""A checkpoint's network is told from the shapes in it."""

import pytest
import torch

from edgeresnet.convert.describe import describe_checkpoint
from edgeresnet.convert.networks import ARCHITECTURES, build


def test_the_sample_tells_all_that_its_file_says(sample_weights):
    report = describe_checkpoint(sample_weights).as_json()
    assert report["arch"] == "resnet50"
    assert report["width"] == 0.25
    assert report["classes"] == report["labels"] == 24
    assert report["stride_in"] == "3x3"
    assert report["preprocess"]["size"] == [128, 128]


def test_parameters_are_those_that_were_trained(tmp_path):
    network = build(ARCHITECTURES["resnet18"])
    torch.save({"model": network.state_dict(), "epoch": 3}, tmp_path / "w.pth")
    report = describe_checkpoint(tmp_path / "w.pth")
    assert report.parameters == sum(p.numel() for p in network.parameters()) == 11_689_512
    assert report.as_json()["arch"] == "resnet18"


def test_weights_of_another_network_are_shown_by_their_keys(tmp_path):
    torch.save({"features.0.weight": torch.zeros(4, 3, 3, 3)}, tmp_path / "w.pth")
    report = describe_checkpoint(tmp_path / "w.pth").as_json()
    assert report["arch"] is None
    assert "conv1.weight" in report["unknown"]
    assert report["keys"] == {"features.0.weight": [4, 3, 3, 3]}


@pytest.mark.network
def test_the_real_network_is_a_resnet50_of_a_thousand_classes(real_network):
    report = describe_checkpoint(real_network).as_json()
    assert report["arch"] == "resnet50"
    assert report["classes"] == 1000
    assert report["parameters"] == 25_557_032
