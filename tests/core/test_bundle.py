"""A bundle gives back what was sealed into it; how damage is found lies in tests/compile."""

import numpy as np
import pytest

from edgeresnet.core.bundle import GOLDEN, MANIFEST, SEAL, digests, is_bundle, read_bundle, seal
from edgeresnet.core.errors import ModelError, UsageError
from edgeresnet.core.files import sha256_file
from edgeresnet.core.labels import Labels
from edgeresnet.core.tensors import IMAGE, LOGITS, TensorSpec
from edgeresnet.testing import ENTRY, brightness_logits, write_bundle


@pytest.fixture
def folder(tmp_path):
    return write_bundle(tmp_path / "small.bundle", classes=5, batch=2, size=(6, 10))


def test_a_bundle_gives_back_what_was_sealed(folder):
    bundle = read_bundle(folder)
    artifact = bundle.artifact
    assert bundle.labels == Labels(tuple(f"class {i}" for i in range(5)))
    assert artifact.path == folder / ENTRY
    assert artifact.inputs == (TensorSpec(IMAGE, "uint8", (2, 6, 10, 3)),)
    assert artifact.outputs == (TensorSpec(LOGITS, "float32", (2, 5)),)
    assert artifact.preprocess == bundle.manifest.preprocess
    assert (artifact.backend, artifact.normalisation) == ("fake", "graph")
    pictures, logits = bundle.golden()
    assert pictures.shape == (3, 6, 10, 3)
    np.testing.assert_array_equal(logits, brightness_logits(pictures, 5))


def test_the_digest_is_of_the_manifest_and_so_of_everything(folder):
    before = read_bundle(folder)
    assert before.digest == sha256_file(folder / MANIFEST)
    (folder / ENTRY).write_text("another engine", encoding="utf-8")
    seal(folder, before.manifest.model_copy(update={"files": digests(folder)}))
    after = read_bundle(folder)
    assert after.digest != before.digest
    assert after.manifest.files[GOLDEN] == before.manifest.files[GOLDEN]


def test_digests_are_of_the_files_that_the_manifest_lists(folder):
    assert digests(folder) == {name: sha256_file(folder / name) for name in (ENTRY, GOLDEN)}


def test_labels_keep_their_wordnet_ids(folder):
    manifest = read_bundle(folder).manifest
    entry = manifest.labels.model_copy(update={"wordnet": tuple(f"n{i:08d}" for i in range(5))})
    seal(folder, manifest.model_copy(update={"labels": entry}))
    assert read_bundle(folder).labels.wordnet[3] == "n00000003"


def test_a_bundle_is_known_by_its_manifest(folder, tmp_path):
    assert is_bundle(folder)
    assert not is_bundle(folder / MANIFEST)
    assert not is_bundle(tmp_path)
    assert not is_bundle(tmp_path / "none")


def test_what_is_no_bundle_is_refused_in_two_lines(folder, tmp_path):
    with pytest.raises(UsageError, match="no such bundle"):
        read_bundle(tmp_path / "none")
    with pytest.raises(UsageError, match="a bundle is a folder"):
        read_bundle(folder / MANIFEST)
    with pytest.raises(ModelError, match=f"no {MANIFEST}"):
        read_bundle(tmp_path)
    (folder / SEAL).unlink()
    with pytest.raises(ModelError, match=SEAL):
        read_bundle(folder)
