"""The loop teaches, and what it writes is what `convert` reads."""

import json

import cv2
import numpy as np
import pytest
import torch
from detector_data import Phase, Recipe
from detector_training import mean_precision, rate, restate, train, widen, write
from safetensors import safe_open

from edgeresnet.convert.checkpoint import read_checkpoint
from edgeresnet.convert.detector import spec_of
from edgeresnet.convert.networks import ResNetSpec, RetinaNet, RetinaNetSpec
from edgeresnet.core.errors import DeviceError
from edgeresnet.core.preprocess import Crop, Preprocess
from edgeresnet.datasets.annotated import Annotated

SPEC = RetinaNetSpec(
    ResNetSpec("basic", (1, 1, 1, 1), width=0.25, classes=1), 2, channels=32, smallest=16
)
PREPROCESS = Preprocess(size=(96, 96), resize=None, crop=Crop.LETTERBOX)
NAMES = ("light", "dark")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Grey pictures with one light or dark square each."""
    folder, rng, made = tmp_path_factory.mktemp("squares"), np.random.default_rng(3), []
    for number in range(24):
        pixels = rng.integers(110, 140, (96, 96, 3)).astype(np.uint8)
        side = int(rng.integers(20, 44))
        x, y = (int(v) for v in rng.integers(0, 96 - side, 2))
        pixels[y : y + side, x : x + side] = (240, 10)[number % 2]
        path = folder / f"{number}.png"
        cv2.imwrite(str(path), pixels)
        boxes = np.array([[x, y, x + side, y + side]], np.float32)
        none = np.zeros(1, np.bool_)
        made.append(Annotated(path, (96, 96), boxes, np.array([number % 2]), none, none))
    return made


@pytest.fixture(scope="module")
def taught(pictures):
    """The average after each epoch's figures, and the last one itself."""
    torch.manual_seed(1)
    network = RetinaNet(SPEC)
    widen(network)
    recipe = Recipe((Phase(10, 96, (0.9, 1.2)),), 2, 3e-3, 3e-3, (True, True))
    values = []
    for epoch, average in train(network, pictures[:16], recipe, torch.device("cpu")):
        if epoch in (1, 10):
            restate(average, pictures[:16], PREPROCESS)
            values.append(mean_precision(average, pictures[16:], PREPROCESS, NAMES)[1])
    return values, average


def test_the_loop_teaches_to_find_things_it_has_not_seen(taught):
    values, _ = taught
    assert values[0] < 20
    assert values[1] > 40


def test_what_is_written_is_read_with_all_that_the_weights_do_not_show(taught, pictures, tmp_path):
    _, network = taught
    path = tmp_path / "squares.safetensors"
    figures = write(
        network, path, pictures[16:], PREPROCESS, NAMES, about={"seed": 3}, made_with="a test"
    )
    found = read_checkpoint(path)
    assert spec_of(found) == SPEC
    assert found.labels is not None
    assert found.labels.names == NAMES
    assert found.preprocess == PREPROCESS
    again = RetinaNet(spec_of(found))
    again.load_state_dict(dict(found.state), strict=False)
    assert mean_precision(again, pictures[16:], PREPROCESS, NAMES) == figures
    with safe_open(path, "pt") as file:
        said = json.loads(file.metadata()["edgeresnet.accuracy"])
    assert said == {
        "map": round(figures[0], 2),
        "map50": round(figures[1], 2),
        "pictures": 8,
        "seed": 3,
    }


def test_statistics_are_those_of_the_pictures_after_training(taught, pictures):
    _, network = taught
    network.backbone.body.bn1.running_mean.fill_(7)
    restate(network, pictures[:16], PREPROCESS)
    norm = network.backbone.body.bn1
    assert norm.running_mean.abs().max() < 3
    assert int(norm.num_batches_tracked) == 1


def test_statistics_of_few_pictures_are_of_all_of_them(pictures):
    network = RetinaNet(SPEC)
    restate(network, pictures[:3], PREPROCESS)
    norm = network.backbone.body.bn1
    assert int(norm.num_batches_tracked) == 1
    assert norm.running_mean.abs().max() > 0
    with pytest.raises(SystemExit, match="no pictures"):
        restate(network, (), PREPROCESS)


def test_fewer_pictures_than_a_batch_are_refused(pictures):
    recipe = Recipe((Phase(1, 96, (1, 1)),), 4, 1e-3, 1e-3, (True, True))
    with pytest.raises(SystemExit, match="3 pictures to learn from are fewer than a batch of 4"):
        next(train(RetinaNet(SPEC), pictures[:3], recipe, torch.device("cpu")))


def test_a_network_that_diverged_is_an_error_as_in_a_run_and_no_figure(pictures):
    network = RetinaNet(SPEC)
    torch.nn.init.constant_(network.head.classification_head.cls_logits.bias, torch.nan)
    with pytest.raises(DeviceError, match=r"not finite for frame 0 of 0\.png"):
        mean_precision(network, pictures[:1], PREPROCESS, NAMES)


@pytest.mark.parametrize("fixed", [True, False])
def test_statistics_stay_as_they_came_only_where_they_are_fixed(pictures, fixed):
    network = RetinaNet(SPEC)
    norm = network.backbone.body.bn1
    before, scale = norm.running_mean.clone(), norm.weight.detach().clone()
    recipe = Recipe((Phase(1, 96, (1, 1)),), 2, 1e-3, 1e-3, (True, True), fixed_statistics=fixed)
    for _ in train(network, pictures[:4], recipe, torch.device("cpu")):
        pass
    assert torch.equal(norm.running_mean, before) is fixed
    assert not torch.equal(norm.weight, scale)  # what scales them learns on


def test_the_rate_rises_in_a_line_and_falls_along_a_cosine():
    values = [rate(step, 100) for step in range(100)]
    assert values[:8] == pytest.approx([n / 8 for n in range(1, 9)])
    assert values[8:] == sorted(values[8:], reverse=True)
    assert values[54] == pytest.approx(0.505, abs=0.01)
    assert 0 < values[-1] < 0.02
