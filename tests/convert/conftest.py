"""Small networks whose every number is its own, so that a swapped one shows."""

import warnings
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from edgeresnet.backends.onnxruntime.reference import open_model
from edgeresnet.convert.networks import (
    FasterRCNNSpec,
    FCOSSpec,
    ResNetSpec,
    RetinaNetSpec,
    build,
    build_detector,
)


def randomised(module, seed=3):
    """The module with BatchNorm statistics and biases that are not 0 and 1."""
    generator = torch.Generator().manual_seed(seed)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            for tensor, low, high in (
                (part.weight.data, 0.5, 1.5),
                (part.bias.data, -0.3, 0.3),
                (part.running_mean, -0.2, 0.2),
                (part.running_var, 0.5, 2.0),
            ):
                tensor.uniform_(low, high, generator=generator)
    return module.eval()


@pytest.fixture(scope="session")
def make_network():
    """Makes a narrow, shallow ResNet of ten classes; the keywords are ResNetSpec's."""

    def make(**changes):
        torch.manual_seed(5)
        table = {"block": "bottleneck", "layers": (1, 1, 1, 1), "width": 0.125, "classes": 10}
        return randomised(build(ResNetSpec(**{**table, **changes})))

    return make


DETECTORS = {
    "retinanet": lambda backbone: RetinaNetSpec(backbone, 3, 32),
    "retinanet v2": lambda backbone: RetinaNetSpec(backbone, 3, 64, norm=True, extra="c5"),
    "fcos": lambda backbone: FCOSSpec(backbone, 3, 64),
    "faster rcnn": lambda backbone: FasterRCNNSpec(backbone, 4, 32, hidden=32),
}


@pytest.fixture(scope="session")
def make_detector():
    """Makes a narrow, shallow detector whose scores lie apart; its kind is a key of DETECTORS."""

    def make(kind, **changes):
        torch.manual_seed(7)
        backbone = ResNetSpec("bottleneck", (1, 1, 1, 1), width=0.125, classes=1)
        network = build_detector(replace(DETECTORS[kind](backbone), **changes))
        with torch.no_grad():
            for name, weight in network.named_parameters():
                if "cls_" in name or "bbox_" in name:
                    weight.add_(torch.randn_like(weight) * 0.3)
        return randomised(network)

    return make


@pytest.fixture(scope="session", params=DETECTORS)
def detector(request, make_detector):
    """One detector of each kind."""
    return make_detector(request.param)


@pytest.fixture(scope="session")
def run_onnx():
    """Runs a one-input, one-output ONNX model, or an ONNX file, on an array."""

    def run(model, x):
        parsed = model if isinstance(model, onnx.ModelProto) else onnx.load(str(model))
        name, out = parsed.graph.input[0].name, parsed.graph.output[0].name
        return open_model(parsed.SerializeToString(), threads=1)({name: np.asarray(x)})[out]

    return run


@pytest.fixture(scope="session")
def export_file():
    """Exports a module as other tools do."""

    def export(module, path, *, size=64, opset=17, dynamic=(), **options):
        axes = {"x": dict.fromkeys(dynamic, "n")} if dynamic else None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                module,
                (torch.zeros(1, 3, size, size),),
                str(path),
                opset_version=opset,
                dynamo=False,
                input_names=["x"],
                output_names=options.pop("outputs", ["y"]),
                dynamic_axes=axes,
                **options,
            )
        return path

    return export


def assert_close(found, expected, tolerance=1e-5):
    """Equal up to rounding, measured by the largest value."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= tolerance * np.abs(expected).max()


@pytest.fixture(scope="session")
def close():
    """Asserts that two arrays are equal up to rounding."""
    return assert_close


@pytest.fixture(scope="session")
def randomise():
    """Gives a module's BatchNorms numbers of their own."""
    return randomised
