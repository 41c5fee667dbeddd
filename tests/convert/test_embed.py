"""--task embed: what a classifier's last layer takes."""

import numpy as np
import pytest
import torch

from edgeresnet.backends.onnxruntime.reference import open_model
from edgeresnet.convert.stage import convert
from edgeresnet.core.errors import UsageError
from edgeresnet.core.tensors import EMBEDDING, IMAGE

SMALL = {"size": (64, 64)}


@pytest.fixture
def weights(make_network, tmp_path):
    torch.save(make_network().state_dict(), tmp_path / "w.pth")
    return tmp_path / "w.pth"


@pytest.mark.parametrize("batch", [1, 2])
def test_the_vector_is_what_the_last_layer_takes(weights, make_network, tmp_path, rng, batch):
    report = convert(weights, tmp_path / "g.onnx", task="embed", preprocess=SMALL, batch=batch)
    graph = report.graph
    assert graph.task == "embed"
    assert [(o.name, o.shape) for o in graph.outputs] == [(EMBEDDING, (batch, 256))]
    assert len(graph.labels) == 0
    assert report.parity.holds
    pictures = rng.integers(0, 256, (batch, 64, 64, 3), np.uint8)
    (found,) = open_model(graph.path)({IMAGE: pictures}).values()
    network = make_network()
    with torch.no_grad():
        x = torch.from_numpy(graph.preprocess.normalise(pictures))
        expected = network.features(x)[-1].mean((2, 3))
    np.testing.assert_allclose(found, expected, atol=1e-4 * float(expected.abs().max()))


def test_weights_of_another_task_are_refused(
    weights, make_detector, tmp_path, export_file, make_network
):
    torch.save(make_detector("retinanet").state_dict(), tmp_path / "d.pth")
    export_file(make_network(), tmp_path / "x.onnx")
    for name, task in (("w.pth", "detect"), ("d.pth", "embed"), ("d.pth", "classify")):
        with pytest.raises(UsageError, match=f"--task {task}: the weights are those of"):
            convert(tmp_path / name, tmp_path / "g.onnx", task=task)
    with pytest.raises(UsageError, match="--task embed: an ONNX file"):
        convert(tmp_path / "x.onnx", tmp_path / "g.onnx", task="embed")
    with pytest.raises(UsageError, match="--task: 'segment' is none of"):
        convert(weights, tmp_path / "g.onnx", task="segment")


def test_a_module_of_someone_elses_without_a_known_end_is_refused(tmp_path, monkeypatch):
    (tmp_path / "theirs_embed.py").write_text(
        "from torch import nn\n"
        "def make():\n"
        "    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match="Sequential has no linear layer fc"):
        convert("theirs_embed:make", tmp_path / "g.onnx", task="embed", preprocess=SMALL)


def test_the_probe_works_on_features_as_well(sample_weights, few_pictures, tmp_path):
    report = convert(sample_weights, tmp_path / "g.onnx", task="embed", images=few_pictures)
    assert report.training_match == "matches"
