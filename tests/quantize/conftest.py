"""Small residual networks whose every number is their own, and pictures for them."""

import cv2
import numpy as np
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from edgeresnet.backends.onnxruntime.reference import open_model
from edgeresnet.convert.export import export_module
from edgeresnet.convert.fold import fold_batchnorms
from edgeresnet.convert.networks import ResNetSpec, build
from edgeresnet.core.contract import (
    copy_of,
    describe,
    prepend_normalisation,
    rename_output,
    save_onnx,
)
from edgeresnet.core.labels import Labels
from edgeresnet.core.preprocess import Preprocess
from edgeresnet.core.target import Scheme
from edgeresnet.core.tensors import IMAGE, LOGITS

SIDE = 64


@pytest.fixture(scope="session")
def small_network():
    """Makes a contract graph of a narrow, shallow ResNet, BatchNorms folded; do not change it.

    The keywords are ResNetSpec's, and ``batch``.
    """
    made = {}

    def make(batch=1, **changes):
        key = (batch, *sorted(changes.items()))
        if key not in made:
            table = {"block": "bottleneck", "layers": (2, 1, 1, 1), "width": 0.25, "classes": 10}
            torch.manual_seed(5)
            module = build(ResNetSpec(**{**table, **changes}))
            for part in module.modules():
                if isinstance(part, nn.BatchNorm2d):
                    part.weight.data.uniform_(0.5, 1.5)
                    part.bias.data.uniform_(-0.3, 0.3)
                    part.running_mean.uniform_(-0.2, 0.2)
                    part.running_var.uniform_(0.5, 2.0)
            model = export_module(module, (batch, 3, SIDE, SIDE))
            fold_batchnorms(model)
            rename_output(model)
            prepend_normalisation(model, Preprocess(size=(SIDE, SIDE), resize=SIDE), batch)
            made[key] = model
        return made[key]

    return make


@pytest.fixture(scope="session")
def smooth_pictures():
    """Fitted pictures for the small networks: 24 of them, of large spots."""
    coarse = np.random.default_rng(6).integers(0, 256, (24, 6, 6, 3), np.uint8)
    return [cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) for picture in coarse]


@pytest.fixture(scope="session")
def spots(smooth_pictures, tmp_path_factory):
    """Folders of such pictures without classes: the 24 to calibrate with, 48 others to judge."""
    folder = tmp_path_factory.mktemp("spots")
    coarse = np.random.default_rng(7).integers(0, 256, (48, 6, 6, 3), np.uint8)
    others = [cv2.resize(p, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) for p in coarse]
    for name, pictures in (("calibration", smooth_pictures), ("gate", others)):
        (folder / name).mkdir()
        for i, picture in enumerate(pictures):
            cv2.imwrite(str(folder / name / f"{name}-{i:02}.png"), picture)
    return folder / "calibration", folder / "gate"


@pytest.fixture(scope="session")
def decided_network(small_network, smooth_pictures):
    """The small network, its last biases such that pictures differ in label; do not change it."""
    model = copy_of(small_network())
    run = open_model(model.SerializeToString())
    logits = np.stack([run({IMAGE: picture[None]})[LOGITS][0] for picture in smooth_pictures])
    (head,) = (node for node in model.graph.node if node.op_type == "Gemm")
    (bias,) = (w for w in model.graph.initializer if w.name == head.input[2])
    centred = numpy_helper.to_array(bias) - logits.mean(0)
    bias.CopyFrom(numpy_helper.from_array(centred.astype(np.float32), bias.name))
    return model


@pytest.fixture(scope="session")
def write_small():
    """Writes a small network as ``convert`` would, and gives the path back."""

    def write(model, path):
        model = copy_of(model)
        describe(
            model,
            task="classify",
            scheme=Scheme.FLOAT,
            preprocess=Preprocess(size=(SIDE, SIDE), resize=SIDE),
            labels=Labels(tuple(f"class {i}" for i in range(10))),
            evidence={"parity": {"verdict": "same"}, "training_match": {"verdict": "unchecked"}},
        )
        save_onnx(model, path)
        return path

    return write


@pytest.fixture
def small_graph(decided_network, write_small, tmp_path):
    """The small network as a file of the test's own, so that what is kept beside it is too."""
    (tmp_path / "host").mkdir()
    return write_small(decided_network, tmp_path / "host/small.onnx")
