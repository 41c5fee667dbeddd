"""The probe tells how a network was trained to see, from pictures alone."""

import shutil

import cv2
import numpy as np
import pytest

from edgeresnet.backends.onnxruntime.reference import open_model
from edgeresnet.convert.stage import convert
from edgeresnet.core.contract import body_of, load_onnx, read_metadata
from edgeresnet.core.errors import ParityError
from edgeresnet.core.preprocess import Color, Preprocess, fit
from edgeresnet.datasets.procedural import draw_picture, write_pictures
from edgeresnet.match.candidates import candidates
from edgeresnet.match.moments import NormStatistics, pack, unpack
from edgeresnet.match.probe import probe

SIZE = {"size": (128, 128), "resize": 146}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    write_pictures(folder, 48, seed=31)
    return folder


@pytest.fixture(scope="module")
def unlabelled_weights(sample_weights, tmp_path_factory):
    """The sample's weights in a file that says nothing of how they were trained."""
    import torch
    from safetensors.torch import load_file

    path = tmp_path_factory.mktemp("weights") / "plain.pth"
    torch.save({k: v.float() for k, v in load_file(sample_weights).items()}, path)
    return path


@pytest.fixture(scope="module")
def parts(sample_graph):
    model = load_onnx(sample_graph)
    return body_of(model), unpack(read_metadata(model)["batchnorm"])


def test_what_is_right_is_confirmed(unlabelled_weights, pictures, tmp_path):
    report = convert(unlabelled_weights, tmp_path / "g.onnx", images=pictures, preprocess=SIZE)
    assert report.training_match == "matches"
    assert report.graph.preprocess.color is Color.RGB


@pytest.mark.parametrize(
    ("options", "named"),
    [
        pytest.param({"stride_in": "1x1"}, "--stride-in 3x3", id="stride"),
        pytest.param({"preprocess": {"color": "bgr"}}, "--color rgb", id="colour"),
        pytest.param(
            {"preprocess": {"mean": (0, 0, 0), "std": (1, 1, 1)}}, "--mean 0.485", id="no mean"
        ),
        pytest.param(
            {"preprocess": {"mean": (0.5,) * 3, "std": (0.5,) * 3}}, "--mean 0.485", id="-1..1"
        ),
        pytest.param(
            {"preprocess": {"scale": 1.0, "mean": (0, 0, 0), "std": (1, 1, 1)}},
            "--mean 0.485",
            id="0..255",
        ),
    ],
)
def test_what_is_said_wrongly_is_refused_with_the_option_that_mends_it(
    unlabelled_weights, pictures, tmp_path, options, named
):
    out = tmp_path / "g.onnx"
    options = {**options, "preprocess": {**SIZE, **options.get("preprocess", {})}}
    with pytest.raises(ParityError) as caught:
        convert(unlabelled_weights, out, images=pictures, **options)
    assert named in caught.value.hint
    assert caught.value.exit_code == 4
    assert not out.exists()


def test_what_is_not_said_is_found(unlabelled_weights, pictures, tmp_path, monkeypatch):
    from edgeresnet.convert import trained

    monkeypatch.setattr(trained, "Preprocess", _WrongDefaults)
    report = convert(unlabelled_weights, tmp_path / "g.onnx", images=pictures, preprocess=SIZE)
    assert report.training_match.startswith("picked")
    assert report.graph.preprocess.color is Color.RGB
    np.testing.assert_allclose(report.graph.preprocess.mean, (0.485, 0.456, 0.406))


class _WrongDefaults(Preprocess):
    """A world in which networks are mostly trained on BGR in -1..1."""

    color: Color = Color.BGR
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)


def test_too_few_pictures_decide_nothing(unlabelled_weights, pictures, tmp_path):
    few = tmp_path / "few"
    few.mkdir()
    for path in sorted(pictures.rglob("*.jpg"))[:5]:
        (few / path.name).write_bytes(path.read_bytes())
    report = convert(unlabelled_weights, tmp_path / "g.onnx", images=few, preprocess=SIZE)
    assert report.training_match == "unchecked"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda p: (p * 0.35).astype(np.uint8), id="dark"),
        pytest.param(lambda p: (p * 0.4 + 80).astype(np.uint8), id="flat"),
        pytest.param(lambda p: (255 - (255 - p) * 0.5).astype(np.uint8), id="bright"),
        pytest.param(lambda p: cv2.GaussianBlur(p, (0, 0), 2), id="blurred"),
        pytest.param(
            lambda p: cv2.cvtColor(cv2.cvtColor(p, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR),
            id="grey",
        ),
    ],
)
def test_other_light_does_not_make_the_right_setting_wrong(parts, change):
    body, statistics = parts
    given = Preprocess(**SIZE)
    scenes = (draw_picture(i, seed=32, size=(160, 160)).pixels for i in range(24))
    fitted = [fit(change(pixels), given) for pixels in scenes]
    assert probe(body, statistics, given, fitted, open_model).matches


def test_candidates_are_all_different_and_the_given_one_is_first():
    given = Preprocess(mean=(0.1, 0.2, 0.3))
    found = candidates(given, "3x3")
    assert found[0].preprocess == given
    assert len({(c.preprocess, c.stride_in) for c in found}) == len(found)
    assert all(len(c.ways(found[0])) >= 1 for c in found[1:])


def test_a_network_without_bottlenecks_has_no_stride_candidates():
    assert {c.stride_in for c in candidates(Preprocess(), "")} == {""}


def test_statistics_survive_the_metadata(rng):
    norms = {"bn1": NormStatistics(rng.normal(size=8), rng.random(8))}
    back = unpack(pack(norms))["bn1"]
    np.testing.assert_allclose(back.mean, norms["bn1"].mean, rtol=1e-6)
    np.testing.assert_allclose(back.variance, norms["bn1"].variance, rtol=1e-6)


def test_the_v1_checkpoint_is_refused_as_v15_and_put_right_without_a_word(
    real_network, shared, tmp_path
):
    images = tmp_path / "images"
    images.mkdir()
    for path in sorted((shared / "data/imagenet-sample/images").iterdir())[::25]:
        shutil.copy(path, images)  # twenty
    with pytest.raises(ParityError, match="stride in 1x1") as caught:
        convert(real_network, tmp_path / "wrong.onnx", stride_in="3x3", images=images)
    assert "--stride-in 1x1" in caught.value.hint
    report = convert(real_network, tmp_path / "right.onnx", images=images)
    assert report.training_match == "picked: stride in 1x1"
    assert report.parity.holds
