"""A bundle is told only when every byte of it is the sealed one."""

import shutil

import pytest

from edgeresnet.core.errors import ModelError
from edgeresnet.inspect.bundle import inspect_bundle


def test_a_bundle_tells_target_files_golden_and_evidence(sample_bundle):
    report = inspect_bundle(sample_bundle).as_json()
    assert report["kind"] == "bundle"
    assert report["verified"] is True
    assert report["target"]["name"] == "generic-cpu"
    assert report["artifact"]["backend"] == "onnxruntime"
    assert report["golden"]["at_compile"] <= report["golden"]["tolerance"]
    assert report["evidence"]["training_match"]["verdict"] == "matches"
    assert report["labels"] == 24
    for name, file in report["files"].items():
        assert file["bytes"] == (sample_bundle / name).stat().st_size
        assert len(file["sha256"]) == 64


@pytest.mark.parametrize("name", ["model.onnx", "golden.npz", "manifest.json"])
def test_one_changed_bit_is_enough_to_refuse_it(sample_bundle, tmp_path, name):
    copy = shutil.copytree(sample_bundle, tmp_path / "copy.bundle")
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(data)
    with pytest.raises(ModelError, match=name):
        inspect_bundle(copy)
