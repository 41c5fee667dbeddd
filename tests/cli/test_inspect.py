"""``edgeresnet inspect`` as it is typed."""

import json

import pytest
import torch

from edgeresnet.cli import main


@pytest.mark.parametrize("fixture", ["sample_weights", "sample_graph", "sample_bundle"])
def test_json_is_one_object_that_says_its_kind(fixture, request, capsys):
    path = request.getfixturevalue(fixture)
    assert main(["inspect", str(path), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (
        report["kind"]
        == {
            "sample_weights": "checkpoint",
            "sample_graph": "graph",
            "sample_bundle": "bundle",
        }[fixture]
    )


def test_a_checkpoint_is_shown_with_network_and_classes(sample_weights, capsys):
    assert main(["inspect", str(sample_weights)]) == 0
    out = capsys.readouterr().out
    assert "resnet50, width 0.25" in out
    assert "resize 146, crop 128x128, bilinear, rgb" in out


def test_a_graph_is_shown_with_its_verdicts_and_nodes(sample_graph, capsys):
    assert main(["inspect", str(sample_graph)]) == 0
    out = capsys.readouterr().out
    assert "image: uint8[1x128x128x3]" in out
    assert "53 Conv" in out
    assert "matches" in out


def test_a_bundle_is_shown_with_its_golden_check_and_digest(sample_bundle, capsys):
    assert main(["inspect", str(sample_bundle)]) == 0
    out = capsys.readouterr().out
    assert "every byte as it was sealed" in out
    assert "8 pictures, relative error" in out


def test_an_unknown_network_is_shown_by_its_first_keys(tmp_path, capsys):
    state = {f"blocks[{i}].weight": torch.zeros(2, 2) for i in range(20)}
    torch.save(state, tmp_path / "w.pth")
    assert main(["inspect", str(tmp_path / "w.pth")]) == 0
    out = capsys.readouterr().out
    assert "none that edgeresnet knows" in out
    assert "blocks[11].weight" in out
    assert "and 8 more" in out


@pytest.mark.parametrize(
    ("name", "code", "told"),
    [
        ("absent.bundle", 2, "no such file"),
        ("empty.onnx", 2, "is empty"),
        ("folder", 4, "no bundle"),
    ],
)
def test_what_cannot_be_inspected_is_an_error(tmp_path, capsys, name, code, told):
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.onnx").touch()
    assert main(["inspect", str(tmp_path / name)]) == code
    assert told.replace("no bundle", "is not a bundle") in capsys.readouterr().err
