"""What stands in convert's way leaves nothing half-written, and has its exit code."""

import errno
import os

import onnx
import pytest
import torch

from edgeresnet.convert import stage
from edgeresnet.convert.stage import convert
from edgeresnet.core.errors import DeviceError, ModelError, UsageError

SMALL = {"size": (64, 64)}


@pytest.fixture
def weights(make_network, tmp_path):
    path = tmp_path / "w.pth"
    torch.save(make_network().state_dict(), path)
    return path


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("number", "says"), [(errno.ENOSPC, "disk full"), (errno.EROFS, "Read-only file system")]
)
@pytest.mark.parametrize("before", [None, "mine"])
def test_a_disk_that_fails_leaves_what_was_there(
    weights, tmp_path, monkeypatch, number, says, before
):
    def fail(model, path):
        with open(path, "wb") as file:  # noqa: PTH123  as onnx does
            file.write(model.SerializeToString()[:1000])
        raise OSError(number, os.strerror(number))

    out = tmp_path / "g.onnx"
    if before:
        out.write_text(before)
    monkeypatch.setattr(onnx, "save", fail)
    with pytest.raises(DeviceError, match=says) as caught:
        convert(weights, out, preprocess=SMALL, force=True)
    assert caught.value.exit_code == 6
    assert str(out) in caught.value.what
    assert names_in(tmp_path) == (["g.onnx", "w.pth"] if before else ["w.pth"])
    assert before is None or out.read_text() == before


def test_an_output_that_cannot_be_is_refused_before_the_work(weights, tmp_path, monkeypatch):
    def work(*_args, **_kwargs):
        raise AssertionError("the work has begun")

    monkeypatch.setattr(stage, "open_weights", work)
    (tmp_path / "there").write_text("mine")
    (tmp_path / "folder").mkdir()
    for out, force, says in (
        (tmp_path / "there", False, "output exists"),
        (tmp_path / "folder", True, "is a folder"),
        (tmp_path / "none/g.onnx", False, "no such folder"),
        (tmp_path / "there/g.onnx", False, "no such folder"),
    ):
        with pytest.raises(UsageError, match=says) as caught:
            convert(weights, out, force=force)
        assert caught.value.exit_code == 2


def test_an_unwritable_folder_is_refused_before_the_work(weights, tmp_path, monkeypatch):
    folder = tmp_path / "locked"
    folder.mkdir()
    if os.geteuid():
        folder.chmod(0o500)
    else:  # root may write everywhere
        monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    with pytest.raises(UsageError, match="no permission to write"):
        convert(weights, folder / "g.onnx", preprocess=SMALL)


@pytest.mark.parametrize("option", ["classes", "images"])
def test_a_missing_file_of_an_option_is_named_and_leaves_nothing(weights, tmp_path, option):
    with pytest.raises(UsageError, match=rf"--{option}: no such .*none"):
        convert(weights, tmp_path / "g.onnx", preprocess=SMALL, **{option: tmp_path / "none"})
    assert names_in(tmp_path) == ["w.pth"]


def test_pictures_none_of_which_can_be_read_are_refused(weights, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(3):
        (folder / f"{i}.jpg").write_text("<html>")
    with pytest.raises(UsageError, match="none of 3 pictures is readable"):
        convert(weights, tmp_path / "g.onnx", preprocess=SMALL, images=folder)


def test_an_interruption_leaves_nothing(weights, tmp_path, monkeypatch):
    def interrupted(_model, path):
        with open(path, "wb") as file:  # noqa: PTH123  as onnx does
            file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(onnx, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        convert(weights, tmp_path / "g.onnx", preprocess=SMALL)
    assert names_in(tmp_path) == ["w.pth"]


def test_a_size_that_the_network_cannot_take_is_refused(tmp_path, export_file):
    """Four unpadded convolutions leave nothing of 8 pixels; a ResNet itself takes any size."""
    module = torch.nn.Sequential(
        *[torch.nn.Conv2d(3, 3, 3, 2) for _ in range(4)], torch.nn.Flatten()
    )
    path = export_file(module.eval(), tmp_path / "n.onnx", dynamic=(0, 2, 3))
    with pytest.raises(ModelError):
        convert(path, tmp_path / "g.onnx", preprocess={"size": (8, 8)})
    assert names_in(tmp_path) == ["n.onnx"]
