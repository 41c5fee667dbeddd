"""A bundle on another machine: this one, by a real sshd, rsync, tar and edgeresnet."""

import json
import os
import shutil

import numpy as np
import pytest

from edgeresnet import __version__
from edgeresnet.core.bundle import GOLDEN, digests, read_bundle, seal
from edgeresnet.core.errors import GateError, ModelError, UsageError


def everything(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def other_bundle(bundle, tmp_path):
    """Another bundle of the same name."""
    return resealed(shutil.copytree(bundle, tmp_path / "other" / bundle.name))


def resealed(folder, **changes):
    """The bundle with changed golden outputs or other made_with, sealed as if that were right."""
    manifest = read_bundle(folder).manifest
    if "expected" in changes:
        with np.load(folder / GOLDEN) as arrays:
            pictures, expected = arrays["pictures"], arrays["expected"]
        np.savez(folder / GOLDEN, pictures=pictures, expected=changes["expected"](expected))
    made = {**manifest.made_with, "other": "1"}
    seal(folder, manifest.model_copy(update={"made_with": made, "files": digests(folder)}))
    return folder


@pytest.mark.slow
def test_a_bundle_is_copied_proved_and_timed_there(rsync, sent, bundle, home, server, edgeresnet):
    report, told = sent(bundle, folder="bundles of mine/new")
    there = home / "bundles of mine/new"
    assert names(there) == [bundle.name]
    assert everything(there / bundle.name) == everything(bundle)
    assert report.copied_by == "rsync"
    assert report.folder == str(there / bundle.name)
    data = json.loads(json.dumps(report.as_json()))
    assert data["digest"] == read_bundle(bundle).digest
    assert data["host"] == f"{server.user}@{server.host}"
    assert data["edgeresnet"] == __version__
    assert tuple(data["command"]) == edgeresnet
    assert data["golden_error"] <= read_bundle(bundle).manifest.golden.tolerance
    assert data["compile"]["backend"] == "onnxruntime"
    assert data["compile"]["bundle"] == data["bundle"]
    assert data["fps"] > 0
    assert data["engine_latency_ms"]["p50"] > 0
    assert data["fingerprint"]["cores"] >= 1
    assert data["notes"] == []
    assert any(line.startswith(f"{report.host}: benchmark") for line in told)  # its own line
    assert any("copying" in line and " MB to " in line for line in told)


def test_what_is_there_is_not_copied_again(sent, bundle, home, no_benchmark):
    first, _ = sent(bundle)
    made = (home / "edgeresnet" / bundle.name).stat()
    second, told = sent(bundle)
    assert first.copied_by
    assert second.copied_by == ""
    after = (home / "edgeresnet" / bundle.name).stat()
    assert (after.st_ino, after.st_mtime_ns) == (made.st_ino, made.st_mtime_ns)
    assert any("is this bundle already" in line for line in told)
    assert second.as_json()["copied_by"] is None


def test_another_bundle_of_that_name_stays_unless_forced(
    sent, bundle, other_bundle, home, no_benchmark
):
    sent(other_bundle)
    there = home / "edgeresnet" / bundle.name
    with pytest.raises(UsageError, match="is another bundle") as caught:
        sent(bundle)
    assert "--force" in caught.value.hint
    assert read_bundle(there).digest == read_bundle(other_bundle).digest
    sent(bundle, force=True)
    assert read_bundle(there).digest == read_bundle(bundle).digest
    assert names(home / "edgeresnet") == [bundle.name]


def test_a_bundle_that_fails_there_replaces_none_that_works(
    sent, bundle, other_bundle, home, no_benchmark, server
):
    sent(bundle)
    resealed(other_bundle, expected=lambda expected: expected[:, ::-1])
    with pytest.raises(ModelError, match="computes something else than was proved") as caught:
        sent(other_bundle, force=True)
    assert caught.value.what.startswith(f"on {server.user}@{server.host}: ")
    assert caught.value.hint.startswith(f"on {server.user}@{server.host}: ")
    there = home / "edgeresnet" / bundle.name
    assert read_bundle(there).digest == read_bundle(bundle).digest


def test_a_gate_that_is_missed_there_is_a_gate_that_is_missed(sent, bundle, home, monkeypatch):
    with pytest.raises(GateError, match=r"on .*INT8"):
        sent(bundle, require_int8=0.95)
    assert bundle.name not in names(home / "edgeresnet")


def test_a_damaged_bundle_there_is_copied_again(sent, bundle, home, no_benchmark):
    sent(bundle)
    model = home / "edgeresnet" / bundle.name / read_bundle(bundle).manifest.artifact.entry
    times = model.stat()
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1
    model.write_bytes(data)
    os.utime(model, ns=(times.st_atime_ns, times.st_mtime_ns))
    report, told = sent(bundle)
    assert report.copied_by
    assert any("is damaged: copied again" in line for line in told)
    assert read_bundle(home / "edgeresnet" / bundle.name)


def test_a_damaged_bundle_is_found_here_before_anyone_is_called(sent, bundle, sshd):
    (bundle / "stray").touch()
    with pytest.raises(ModelError, match="stray"):
        sent(bundle)
