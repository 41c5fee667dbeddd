"""An earlier calibration serves as long as it is what a new one would be."""

import os
import shutil

import numpy as np
import pytest

from edgeresnet.core.contract import load_onnx, read_graph
from edgeresnet.core.errors import GateError, UsageError
from edgeresnet.core.target import Scheme
from edgeresnet.quantize import kept, qdq
from edgeresnet.quantize.stage import quantize
from edgeresnet.quantize.store import calibration_file

ANY = {"max_drop": 100}  # the gate has its own tests


@pytest.fixture(scope="module")
def calibrated_once(decided_network, write_small, spots, tmp_path_factory):
    """Folder of the small graph and its calibration; copy it."""
    folder = tmp_path_factory.mktemp("calibrated") / "host"
    folder.mkdir()
    graph = write_small(decided_network, folder / "small.onnx")
    quantize(graph, folder.parent / "out.onnx", images=spots[0], eval_images=spots[1], **ANY)
    return folder


@pytest.fixture
def calibrated(calibrated_once, tmp_path):
    """The small graph, with its calibration beside it."""
    return shutil.copytree(calibrated_once, tmp_path / "host") / "small.onnx"


@pytest.fixture
def no_work(monkeypatch):
    """Fails when pictures are calibrated with."""

    def begun(*_args, **_options):
        raise AssertionError("calibrates again")

    monkeypatch.setattr(kept, "calibrate", begun)


def network(path):
    """Nodes and weights, without what the file says of itself."""
    graph = load_onnx(path).graph
    return graph.SerializeToString(deterministic=True)


def test_without_pictures_and_without_an_earlier_calibration_nothing_can_be_done(
    small_graph, tmp_path
):
    with pytest.raises(UsageError, match="no --images, and no earlier calibration") as caught:
        quantize(small_graph, tmp_path / "out.onnx")
    assert "pass --images once" in caught.value.hint
    assert "small.calibration.npz" in caught.value.hint


def test_what_was_found_lies_beside_the_float_graph_and_not_beside_the_output(calibrated, tmp_path):
    assert calibration_file(calibrated) == calibrated.with_name("small.calibration.npz")
    assert {path.name for path in calibrated.parent.iterdir()} == {
        "small.onnx",
        "small.calibration.npz",
    }


@pytest.mark.parametrize(("scheme", "method"), [("u8-affine", "entropy"), ("s8-symmetric", "lp")])
def test_another_scheme_or_method_needs_no_pictures_and_gives_what_they_would(
    calibrated, spots, tmp_path, scheme, method
):
    how = {"scheme": scheme, "method": method, **ANY}
    report = quantize(calibrated, tmp_path / "kept.onnx", **how)
    calibration_file(calibrated).unlink()
    quantize(calibrated, tmp_path / "new.onnx", images=spots[0], eval_images=spots[1], **how)
    assert network(tmp_path / "kept.onnx") == network(tmp_path / "new.onnx")
    assert read_graph(tmp_path / "kept.onnx").scheme is Scheme(scheme)
    assert report.calibration_pictures == 24
    assert any("calibrated before, on 24 pictures" in note for note in report.notes)


def test_without_pictures_nothing_is_judged_and_the_graph_says_so(calibrated, tmp_path):
    report = quantize(calibrated, tmp_path / "out.onnx", scheme="s8-symmetric", max_drop=0)
    assert (report.verdict, report.gate) == (None, None)
    assert read_graph(tmp_path / "out.onnx").evidence["accuracy"]["verdict"] == "unchecked"
    assert any("nothing was judged" in note for note in report.notes)


def test_gate_pictures_alone_judge(calibrated, spots, tmp_path):
    out = tmp_path / "out.onnx"
    report = quantize(calibrated, out, eval_images=spots[1], **ANY)
    assert report.gate.pictures == 48
    assert read_graph(out).evidence["accuracy"]["verdict"] == "inside"


def test_the_same_pictures_are_not_looked_at_again(calibrated, spots, tmp_path, no_work):
    report = quantize(
        calibrated, tmp_path / "out.onnx", images=spots[0], eval_images=spots[1], **ANY
    )
    assert any("the same pictures as before" in note for note in report.notes)


@pytest.mark.parametrize("change", [{"samples": 12}, {"recipe": "minmax"}])
def test_other_pictures_or_another_rescaling_are_calibrated_anew(
    calibrated, spots, tmp_path, change
):
    before = calibration_file(calibrated).read_bytes()
    report = quantize(
        calibrated, tmp_path / "out.onnx", images=spots[0], eval_images=spots[1], **change, **ANY
    )
    assert calibration_file(calibrated).read_bytes() != before
    assert not any("as before" in note for note in report.notes)


def test_a_damaged_calibration_is_made_again_with_pictures_and_refused_without(
    calibrated, spots, tmp_path
):
    calibration_file(calibrated).write_bytes(b"torn")
    with pytest.raises(UsageError, match="is damaged") as caught:
        quantize(calibrated, tmp_path / "out.onnx", **ANY)
    assert "--images" in caught.value.hint
    quantize(calibrated, tmp_path / "out.onnx", images=spots[0], eval_images=spots[1], **ANY)
    quantize(calibrated, tmp_path / "again.onnx", **ANY)


def test_the_calibration_of_another_graph_is_refused(
    calibrated, small_network, write_small, tmp_path
):
    other = write_small(small_network(), tmp_path / "other.onnx")
    shutil.copy(calibration_file(calibrated), calibration_file(other))
    with pytest.raises(UsageError, match="another graph"):
        quantize(other, tmp_path / "out.onnx")


def test_a_recipe_that_rescales_otherwise_needs_the_pictures(calibrated, spots, tmp_path):
    report = quantize(calibrated, tmp_path / "rescaled.onnx", **ANY)
    assert report.calibration.equalized
    with pytest.raises(UsageError, match=r"with equalized .* minmax asks for it without") as caught:
        quantize(calibrated, tmp_path / "out.onnx", recipe="minmax")
    assert caught.value.hint == "pass --images to calibrate again"
    plain = {"recipe": "minmax", **ANY}
    quantize(calibrated, tmp_path / "a.onnx", images=spots[0], eval_images=spots[1], **plain)
    quantize(calibrated, tmp_path / "b.onnx", **plain)
    with pytest.raises(UsageError, match="without equalized"):
        quantize(calibrated, tmp_path / "out.onnx")


def test_pictures_that_calibrated_before_may_not_judge(calibrated, spots, tmp_path):
    with pytest.raises(UsageError, match="24 pictures calibrated before") as caught:
        quantize(calibrated, tmp_path / "out.onnx", eval_images=spots[0])
    assert "judge with other pictures" in caught.value.hint


def test_over_budget_without_pictures_the_hint_asks_for_them(
    calibrated, spots, tmp_path, monkeypatch
):
    def nothing(weight, *_):
        return np.zeros(weight.shape, np.int8), np.ones(len(weight), np.float32)

    monkeypatch.setattr(qdq, "quantize_weight", nothing)
    with pytest.raises(GateError, match="INT8 loses") as caught:
        quantize(calibrated, tmp_path / "out.onnx", eval_images=spots[1], max_drop=0)
    assert caught.value.hint.startswith("pass --images, for layers to return to float")
    assert not (tmp_path / "out.onnx").exists()


def test_auto_without_pictures_is_refused_before_the_work(calibrated, tmp_path):
    for how in ({"method": "auto"}, {"recipe": "accurate"}):
        with pytest.raises(UsageError, match="--method auto reads the pictures again") as caught:
            quantize(calibrated, tmp_path / "out.onnx", **how)
        assert "pass --images" in caught.value.hint


def test_what_cannot_be_kept_is_only_a_note(small_graph, spots, tmp_path, monkeypatch):
    """A graph on a read-only share, say: refused as the system would, also for root."""
    from edgeresnet.core import files

    make = files.tempfile.mkstemp

    def refused(**options):
        if os.fspath(options["dir"]) == os.fspath(small_graph.parent):
            raise PermissionError(13, "Permission denied")
        return make(**options)

    monkeypatch.setattr(files.tempfile, "mkstemp", refused)
    out = tmp_path / "out.onnx"
    report = quantize(small_graph, out, images=spots[0], eval_images=spots[1], **ANY)
    (note,) = (note for note in report.notes if "could not be kept" in note)
    assert "Permission denied" in note
    assert out.is_file()
    assert not calibration_file(small_graph).exists()


def test_a_folder_in_the_way_of_what_is_kept_is_only_a_note_too(small_graph, spots, tmp_path):
    calibration_file(small_graph).mkdir()
    report = quantize(
        small_graph, tmp_path / "out.onnx", images=spots[0], eval_images=spots[1], **ANY
    )
    assert any("could not be kept" in note for note in report.notes)
