"""``edgeresnet fetch`` as it is typed."""

import json

import pytest

from edgeresnet.cli import main
from edgeresnet.core.files import sha256_file
from edgeresnet.fetch import catalog


@pytest.fixture
def publisher(tmp_path, monkeypatch):
    """Known weights, of which the file is already in the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.pth").write_bytes(b"weights")
    prefix = sha256_file(tmp_path / "own.pth")[:8]
    weights = catalog.Weights("own-v1", "resnet50", prefix, 232, 80.0, 1.0)
    monkeypatch.setitem(catalog.WEIGHTS, "own-v1", weights)
    monkeypatch.setattr(catalog, "BASE_URL", "http://127.0.0.1:9")  # nobody listens there
    return weights


def test_the_list_names_every_weights(capsys):
    assert main(["fetch", "--list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["weights"]
    assert [w["name"] for w in listed] == list(catalog.WEIGHTS)
    assert main(["fetch", "--list"]) == 0
    assert "wide_resnet101_2-v2" in capsys.readouterr().out


def test_a_file_that_is_already_here_is_not_fetched_again(publisher, capsys):
    assert main(["fetch", "own-v1", "-o", "own.pth", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["downloaded"] is False
    assert report["sha256"].startswith(publisher.sha256_prefix)
    assert report["preprocess"]["resize"] == 232


def test_the_next_command_carries_the_preprocessing_that_belongs_to_the_weights(publisher, capsys):
    assert main(["fetch", publisher.name, "-o", "own.pth"]) == 0
    assert "convert own.pth --resize 232" in capsys.readouterr().err


def test_another_file_in_the_way_is_not_overwritten(publisher, tmp_path, capsys):
    (tmp_path / "other.pth").write_bytes(b"mine")
    assert main(["fetch", publisher.name, "-o", "other.pth"]) == 2
    assert "output exists" in capsys.readouterr().err
    assert (tmp_path / "other.pth").read_bytes() == b"mine"


def test_offline_is_an_error_with_the_address(publisher, capsys):
    assert main(["fetch", publisher.name, "-q"]) == 6
    told = capsys.readouterr().err
    assert "cannot reach" in told
    assert publisher.file in told


def test_a_name_is_needed(capsys):
    assert main(["fetch"]) == 2
    assert "--list" in capsys.readouterr().err
