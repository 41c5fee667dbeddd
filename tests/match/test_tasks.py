"""Detectors and embedders are held against their training as classifiers are.

By the embedded detector, trained from the embedded classifier, and drawn pictures.
"""

import shutil

import cv2
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
SMALL = {"size": 192}
"""Faster, and enough for what shows in colours."""
BGR = {"color": "bgr", "mean": (0.406, 0.456, 0.485), "std": (0.225, 0.224, 0.229)}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    write_detection_set(folder, PICTURES, seed=31)
    return folder / "images"


@pytest.fixture(scope="module")
def few(scenes, tmp_path_factory):
    """A dozen of them."""
    folder = tmp_path_factory.mktemp("few_scenes")
    for path in sorted(scenes.iterdir())[:12]:
        shutil.copy(path, folder)
    return folder


@pytest.fixture(scope="module")
def detector(sample_weights):
    """The checkpoint that the package carries; it says how it was trained."""
    return sample_weights.with_name("sample-detector.safetensors")


@pytest.fixture
def changed(detector, tmp_path):
    """Writes the detector with its state changed, in a file that says nothing else."""

    def write(change):
        state = {k: v.float() for k, v in load_file(detector).items()}
        for name, value in state.items():
            change(name, value)
        torch.save(state, tmp_path / "changed.pth")
        return tmp_path / "changed.pth"

    return write


def kept_of(graph):
    return unpack(read_metadata(load_onnx(graph))["batchnorm"])


@pytest.mark.slow
def test_a_detector_is_told_from_every_other_setting_and_its_norms_are_kept(
    detector, scenes, tmp_path
):
    report = convert(detector, tmp_path / "g.onnx", images=scenes)
    assert report.training_match == "matches"
    assert report.match.untold == ()
    assert "note" not in report.graph.evidence["training_match"]
    assert all(verdict.surer_t is not None for verdict in report.match.verdicts)
    kept = kept_of(tmp_path / "g.onnx")
    assert len(kept) == 53  # every norm of a ResNet-50
    assert all(name.startswith("backbone.body.") for name in kept)


@pytest.mark.slow
def test_a_detectors_stride_is_refused_where_it_was_said_wrongly(detector, scenes, tmp_path):
    with pytest.raises(ParityError, match="is not the training's") as caught:
        convert(detector, tmp_path / "g.onnx", stride_in="1x1", images=scenes)
    assert "--stride-in 3x3" in caught.value.hint
    assert not (tmp_path / "g.onnx").exists()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"stride_in": "1x1"}, "--stride-in 3x3"),
        ({"preprocess": BGR}, "--color rgb"),
        ({"preprocess": {"mean": (0.5,) * 3, "std": (0.5,) * 3, **SMALL}}, "--mean 0.485"),
    ],
)
def test_quantize_refuses_a_detector_that_nobody_checked(
    detector, scenes, tmp_path, options, named
):
    convert(detector, tmp_path / "g.onnx", **options)
    with pytest.raises(ParityError, match="fit the training clearly better") as caught:
        quantize(tmp_path / "g.onnx", tmp_path / "q.onnx", images=scenes)
    assert named in caught.value.hint
    assert not (tmp_path / "q.onnx").exists()


def test_an_embedder_is_probed_with_the_layer_that_it_leaves_out(
    sample_weights, few_pictures, tmp_path
):
    how = {"task": "embed", "images": few_pictures}
    report = convert(sample_weights, tmp_path / "g.onnx", **how)
    assert report.training_match == "matches"
    assert all(verdict.surer_t is not None for verdict in report.match.verdicts)
    assert "layer4.2.bn3" in kept_of(tmp_path / "g.onnx")
    with pytest.raises(ParityError) as caught:
        convert(sample_weights, tmp_path / "x.onnx", preprocess=BGR, **how)
    assert "--color rgb" in caught.value.hint


def test_quantize_refuses_an_embedder_by_its_norms_alone(sample_weights, few_pictures, tmp_path):
    convert(sample_weights, tmp_path / "g.onnx", task="embed", preprocess=BGR)
    with pytest.raises(ParityError, match="fit the training clearly better") as caught:
        quantize(tmp_path / "g.onnx", tmp_path / "q.onnx", images=few_pictures)
    assert "--color rgb" in caught.value.hint


def test_a_large_letterboxed_classifier_is_probed_at_its_own_size(
    sample_weights, few_pictures, tmp_path
):
    dozen = tmp_path / "dozen"
    dozen.mkdir()
    for path in sorted(few_pictures.rglob("*.jpg"))[:12]:
        shutil.copy(path, dozen / f"{path.parent.name}-{path.name}")
    boxed = {"crop": "letterbox", "size": 328, "resize": None}
    convert(sample_weights, tmp_path / "g.onnx", preprocess=boxed)
    graph = tmp_path / "g.onnx"
    report = quantize(graph, tmp_path / "q.onnx", images=dozen, force=True)
    assert report.training_match == "matches"


def test_what_no_picture_can_tell_is_said_and_not_refused(detector, few, tmp_path):
    """Grey pictures, with one mean and one deviation, have no channel order."""
    grey = tmp_path / "grey"
    grey.mkdir()
    for path in few.iterdir():
        pixels = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        cv2.imwrite(str(grey / f"{path.stem}.png"), cv2.merge([pixels] * 3))
    flat = {**SMALL, "mean": (0.45,) * 3, "std": (0.225,) * 3, "color": "bgr"}
    report = convert(detector, tmp_path / "g.onnx", images=grey, preprocess=flat)
    assert report.training_match == "matches"
    assert "color" in report.match.untold
    evidence = read_graph(tmp_path / "g.onnx").evidence["training_match"]
    assert "cannot tell the channel order" in evidence["note"]


def test_weights_that_went_far_from_their_statistics_refuse_nothing(changed, few, tmp_path):
    """The backbone's behind its first stage, as no training would change them."""
    generator = torch.Generator().manual_seed(3)

    def far(name, value):
        if name.startswith(("backbone.body.layer2", "backbone.body.layer3")) and value.ndim == 4:
            value.add_(0.8 * value.std() * torch.randn(value.shape, generator=generator))

    report = convert(changed(far), tmp_path / "g.onnx", images=few, preprocess=SMALL)
    assert report.training_match == "matches"
    assert "stride_in" in report.match.untold


def test_norms_that_never_gathered_statistics_tell_nothing(changed, few, tmp_path):
    """As of checkpoints whose norms were folded into scale and shift."""

    def folded(name, value):
        if name.endswith("running_mean"):
            value.zero_()
        elif name.endswith("running_var"):
            value.fill_(1.0)

    report = convert(changed(folded), tmp_path / "g.onnx", images=few, preprocess=SMALL)
    assert report.training_match == "not applicable"
    assert report.match is None
    assert kept_of(tmp_path / "g.onnx") == {}
