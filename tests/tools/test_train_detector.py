"""The recipe goes from a classifier and a Pascal VOC folder to a file that `convert` reads."""

import sys

import cv2
import pytest
import torch
import train_detector

from edgeresnet.convert.checkpoint import read_checkpoint
from edgeresnet.convert.detector import spec_of
from edgeresnet.convert.networks import ResNetSpec, build
from edgeresnet.datasets.procedural import CLASSES, draw_scene

BACKBONE = ResNetSpec("bottleneck", (1, 1, 1, 1), width=0.25, classes=5, stride_in="1x1")


@pytest.fixture
def voc(tmp_path):
    """A folder of drawn pictures; eight to learn from, four held out."""
    for name in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (tmp_path / "voc" / name).mkdir(parents=True)
    for number in range(12):
        picture = draw_scene(number, seed=8, size=(96, 80))
        cv2.imwrite(str(tmp_path / f"voc/JPEGImages/p{number}.jpg"), picture.pixels)
        things = "".join(
            f"<object><name>{CLASSES[kind % 3]}</name><bndbox><xmin>{x0 + 1:.0f}</xmin>"
            f"<ymin>{y0 + 1:.0f}</ymin><xmax>{x1:.0f}</xmax><ymax>{y1:.0f}</ymax></bndbox></object>"
            for (x0, y0, x1, y1), kind in zip(
                picture.boxes.tolist(), picture.box_classes.tolist(), strict=True
            )
        )
        size = "<size><width>96</width><height>80</height></size>"
        text = f"<annotation>{size}{things}</annotation>"
        (tmp_path / f"voc/Annotations/p{number}.xml").write_text(text)
    split(tmp_path / "voc", range(8), range(8, 12))
    return tmp_path / "voc"


def split(folder, teaching, held_out):
    for name, numbers in (("trainval", teaching), ("test", held_out)):
        lines = "".join(f"p{number}\n" for number in numbers)
        (folder / f"ImageSets/Main/{name}.txt").write_text(lines)


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "classifier.pth"
    torch.save(build(BACKBONE).state_dict(), path)
    return path


def call(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["train_detector.py", *map(str, arguments)])
    train_detector.main()


def test_it_goes_from_a_classifier_to_a_detector_that_convert_reads(
    voc, weights, tmp_path, monkeypatch, capsys
):
    out = tmp_path / "things.safetensors"
    small = ("--size", 96, "--channels", 32, "--epochs", 2, "--batch", 4, "--device", "cpu")
    options = (*small, "--smallest-anchor", 16, "--stride-in", "1x1", "-o", out)
    call(monkeypatch, weights, "--data", voc, *options)
    said = capsys.readouterr().out
    assert "trainval.txt: 8 pictures" in said
    assert "test.txt: 4 pictures" in said
    assert said.count("held out mAP") == 2
    assert "nan" not in said
    found = read_checkpoint(out)
    spec = spec_of(found)
    assert (spec.backbone.stride_in, spec.smallest, spec.channels) == ("1x1", 16, 32)
    assert found.labels is not None
    assert found.labels.names == tuple(sorted(CLASSES[:3]))
    assert found.preprocess is not None
    assert found.preprocess.size == (96, 96)


def test_pictures_of_both_lists_are_refused(voc, weights, monkeypatch):
    split(voc, range(9), range(8, 12))
    with pytest.raises(SystemExit, match="1 pictures are in trainval"):
        call(monkeypatch, weights, "--data", voc)


def test_fewer_pictures_than_a_batch_are_refused(voc, weights, monkeypatch):
    small = ("--size", 96, "--channels", 32, "--batch", 9, "--device", "cpu", "--stride-in", "1x1")
    with pytest.raises(SystemExit, match="8 pictures to learn from are fewer than a batch of 9"):
        call(monkeypatch, weights, "--data", voc, *small)


def test_weights_that_are_no_classifier_of_the_family_are_refused(voc, tmp_path, monkeypatch):
    path = tmp_path / "other.pth"
    torch.save({"features.0.weight": torch.zeros(2, 3, 3, 3)}, path)
    with pytest.raises(SystemExit, match=r"other\.pth"):
        call(monkeypatch, path, "--data", voc)
