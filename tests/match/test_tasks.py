"""Detectors and embedders are held against their training as classifiers are.

By the embedded detector, trained from the embedded classifier, and drawn pictures.
"""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from edgeresnet.convert.stage import convert
from edgeresnet.core.contract import load_onnx, read_graph, read_metadata
from edgeresnet.core.errors import ParityError
from edgeresnet.datasets.procedural.crowds import write_detection_set
from edgeresnet.match.moments import unpack
from edgeresnet.quantize.stage import quantize

PICTURES = 30
BGR = {"color": "bgr", "mean": (0.406, 0.456, 0.485), "std": (0.225, 0.224, 0.229)}
WRONG = [
    pytest.param({"stride_in": "1x1"}, "--stride-in 3x3", id="stride"),
    pytest.param({"preprocess": BGR}, "--color rgb", id="colour"),
    pytest.param(
        {"preprocess": {"mean": (0.5,) * 3, "std": (0.5,) * 3}}, "--mean 0.485", id="-1..1"
    ),
]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    write_detection_set(folder, PICTURES, seed=31)
    return folder / "images"


@pytest.fixture(scope="module")
def weights(sample_weights):
    """Of the task, as the package carries them."""
    return {
        "detect": sample_weights.with_name("sample-detector.safetensors"),
        "embed": sample_weights,
    }


@pytest.fixture
def pictures(request, scenes, few_pictures):
    """Of the kind that the network was trained on."""
    return scenes if request.getfixturevalue("task") == "detect" else few_pictures


@pytest.mark.parametrize("task", ["detect", "embed"])
def test_what_is_right_is_confirmed_and_kept_for_quantize(weights, task, pictures, tmp_path):
    report = convert(weights[task], tmp_path / "g.onnx", task=task, images=pictures)
    assert report.training_match == "matches"
    assert all(verdict.surer_t is not None for verdict in report.match.verdicts)
    kept = unpack(read_metadata(load_onnx(tmp_path / "g.onnx"))["batchnorm"])
    assert len(kept) == 53  # every norm of a ResNet-50
    prefix = "backbone.body." if task == "detect" else ""
    assert f"{prefix}layer4.2.bn3" in kept


def test_a_detector_is_told_from_every_other_setting(weights, scenes, tmp_path):
    report = convert(weights["detect"], tmp_path / "g.onnx", images=scenes)
    assert report.match.untold == ()
    assert "note" not in report.graph.evidence["training_match"]


@pytest.mark.parametrize("task", ["detect", "embed"])
@pytest.mark.parametrize(("options", "named"), WRONG[:2])
def test_what_is_said_wrongly_is_refused(weights, task, pictures, tmp_path, options, named):
    if task == "embed" and "stride_in" in options:
        pytest.skip("these pictures do not tell the small network's stride")
    with pytest.raises(ParityError, match="is not the training's") as caught:
        convert(weights[task], tmp_path / "g.onnx", task=task, images=pictures, **options)
    assert named in caught.value.hint
    assert not (tmp_path / "g.onnx").exists()


@pytest.mark.parametrize("task", ["detect", "embed"])
@pytest.mark.parametrize(("options", "named"), WRONG[1:])
def test_quantize_refuses_what_nobody_checked(weights, task, pictures, tmp_path, options, named):
    convert(weights[task], tmp_path / "g.onnx", task=task, **options)
    with pytest.raises(ParityError, match="fit the training clearly better") as caught:
        quantize(tmp_path / "g.onnx", tmp_path / "q.onnx", images=pictures)
    assert named in caught.value.hint
    assert not (tmp_path / "q.onnx").exists()


def test_quantize_tells_a_detectors_stride(weights, scenes, tmp_path):
    convert(weights["detect"], tmp_path / "g.onnx", stride_in="1x1")
    with pytest.raises(ParityError, match="stride in 3x3"):
        quantize(tmp_path / "g.onnx", tmp_path / "q.onnx", images=scenes)


def test_what_no_picture_can_tell_is_said_and_not_refused(weights, tmp_path):
    """Grey pictures have no channel order."""
    import cv2

    (tmp_path / "grey").mkdir()
    write_detection_set(tmp_path / "colour", 12, seed=5)
    for path in (tmp_path / "colour/images").iterdir():
        grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        cv2.imwrite(str(tmp_path / "grey" / f"{path.stem}.png"), cv2.merge([grey] * 3))
    flat = {"mean": (0.45,) * 3, "std": (0.225,) * 3, "color": "bgr"}
    report = convert(
        weights["detect"], tmp_path / "g.onnx", images=tmp_path / "grey", preprocess=flat
    )
    assert report.training_match == "matches"
    assert "color" in report.match.untold
    evidence = read_graph(tmp_path / "g.onnx").evidence["training_match"]
    assert "cannot tell the channel order" in evidence["note"]


def test_weights_that_went_far_from_their_statistics_refuse_nothing(weights, scenes, tmp_path):
    """The backbone's behind its first stage, as no training would change them."""
    generator = torch.Generator().manual_seed(3)
    state = {k: v.float() for k, v in load_file(weights["detect"]).items()}
    for name, value in state.items():
        if name.startswith(("backbone.body.layer2", "backbone.body.layer3")) and value.ndim == 4:
            value.add_(0.8 * value.std() * torch.randn(value.shape, generator=generator))
    torch.save(state, tmp_path / "far.pth")
    report = convert(
        tmp_path / "far.pth", tmp_path / "g.onnx", images=scenes, preprocess={"size": 320}
    )
    assert report.training_match == "matches"
    assert np.isfinite(report.match.best.divergence)


def test_norms_that_never_gathered_statistics_tell_nothing(weights, scenes, tmp_path):
    """As of checkpoints whose norms were folded into scale and shift."""
    state = {k: v.float() for k, v in load_file(weights["detect"]).items()}
    for name, value in state.items():
        if name.endswith("running_mean"):
            value.zero_()
        elif name.endswith("running_var"):
            value.fill_(1.0)
    torch.save(state, tmp_path / "folded.pth")
    report = convert(
        tmp_path / "folded.pth", tmp_path / "g.onnx", images=scenes, preprocess={"size": 320}
    )
    assert report.training_match == "not applicable"
    assert report.match is None
