"""Any byte of any file of a bundle, changed, is seen before anything is loaded."""

import hashlib
import json
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeresnet.cli import main
from edgeresnet.core.bundle import read_bundle
from edgeresnet.core.errors import ModelError, UsageError
from edgeresnet.testing import write_bundle

FILES = ("manifest.json", "manifest.sha256", "golden.npz", "model.xml", "model.bin")


@pytest.fixture
def bundle(sample_int8, compiled, tmp_path):
    """A copy of a real bundle, to be damaged."""
    pytest.importorskip("openvino", reason="openvino is not installed")
    return shutil.copytree(compiled(sample_int8, "intel-cpu"), tmp_path / "sample.bundle")


@pytest.fixture
def small(tmp_path):
    """A bundle without a vendor."""
    return write_bundle(tmp_path / "small.bundle")


def refused(folder, names):
    """The bundle is refused as a whole, with the name of a file that is wrong."""
    with pytest.raises(ModelError) as caught:
        read_bundle(folder)
    assert names in caught.value.what
    assert str(folder) in caught.value.what
    assert caught.value.exit_code == 4
    return caught.value


def reseal(folder, change):
    """Change the manifest and seal it again, as someone with an editor and a mind to might."""
    manifest = json.loads((folder / "manifest.json").read_text())
    text = json.dumps(change(manifest) or manifest)
    (folder / "manifest.json").write_text(text)
    digest = hashlib.sha256(text.encode()).hexdigest()
    (folder / "manifest.sha256").write_text(f"{digest}  manifest.json\n")


def test_the_files_are_those_that_the_tests_below_damage(bundle):
    assert {file.name for file in bundle.iterdir()} == set(FILES)
    assert read_bundle(bundle).digest


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data(), name=st.sampled_from(FILES), bit=st.integers(0, 7))
def test_one_flipped_bit_anywhere_is_seen(bundle, data, name, bit):
    file = bundle / name
    good = file.read_bytes()
    at = data.draw(
        st.sampled_from([0, len(good) // 2, len(good) - 1]) | st.integers(0, len(good) - 1)
    )
    file.write_bytes(good[:at] + bytes([good[at] ^ 1 << bit]) + good[at + 1 :])
    refused(bundle, name)
    file.write_bytes(good)
    read_bundle(bundle)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("keep", [0, 0.5, -1])
def test_a_file_cut_short_is_seen(bundle, name, keep):
    data = (bundle / name).read_bytes()
    (bundle / name).write_bytes(data[: int(len(data) * keep) if keep != -1 else -1])
    refused(bundle, name)


@pytest.mark.parametrize("name", FILES)
def test_a_file_grown_longer_is_seen(bundle, name):
    with (bundle / name).open("ab") as file:
        file.write(b"\n")
    refused(bundle, name)


@pytest.mark.parametrize("name", FILES)
def test_a_file_gone_is_seen(bundle, name):
    (bundle / name).unlink()
    refused(bundle, name)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("instead", ["symlink", "folder", "dangling"])
def test_what_is_not_a_file_of_its_own_is_seen(bundle, tmp_path, name, instead):
    (bundle / name).rename(tmp_path / "elsewhere")
    if instead == "folder":
        (bundle / name).mkdir()
    else:
        (bundle / name).symlink_to(tmp_path / ("elsewhere" if instead == "symlink" else "nowhere"))
    refused(bundle, name)


@pytest.mark.parametrize("name", ["extra.bin", ".hidden", "model.xml.bak"])
@pytest.mark.parametrize("folder", [False, True])
def test_something_added_is_seen(bundle, name, folder):
    (bundle / name).mkdir() if folder else (bundle / name).touch()
    refused(bundle, f"{name} is not in the manifest")


def test_two_files_exchanged_are_seen(bundle):
    one, other = (bundle / name for name in ("model.xml", "golden.npz"))
    kept = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(kept)
    refused(bundle, "was changed")


def test_the_seal_of_another_bundle_does_not_fit(bundle, small):
    shutil.copy(small / "manifest.sha256", bundle / "manifest.sha256")
    refused(bundle, "does not match its seal")


@pytest.mark.parametrize("command", ["run", "evaluate", "benchmark"])
def test_every_command_refuses_it_with_exit_4(bundle, tmp_path, capsys, command):
    (bundle / "model.bin").write_bytes(b"other weights")
    more = {
        "run": ["--source", "synthetic://8x8?count=1"],
        "evaluate": ["--images", str(tmp_path)],
        "benchmark": ["--seconds", "0.1"],
    }[command]
    if command == "evaluate":
        (tmp_path / "a.jpg").touch()
        more += ["--reference", str(bundle)]
    assert main([command, str(bundle), *more]) == 4
    told = capsys.readouterr().err
    assert "error: " in told
    assert "model.bin was changed" in told


@pytest.mark.parametrize("version", ["2.0", "10.0", "2", "0.9", "", "one"])
def test_another_major_version_of_the_schema_is_refused_by_name(small, version):
    reseal(small, lambda manifest: manifest.update(schema_version=version))
    error = refused(small, f"schema_version {version or 'missing'}")
    assert "1.x" in error.what
    assert error.hint


def test_a_newer_minor_version_is_read(small):
    reseal(small, lambda manifest: manifest.update(schema_version="1.7"))
    assert read_bundle(small).manifest.schema_version == "1.7"


def test_an_unknown_key_of_the_manifest_is_refused_with_a_suggestion(small):
    reseal(small, lambda manifest: manifest.update(lables=[]))
    assert refused(small, "unknown key 'lables'").hint == "did you mean 'labels'?"


def test_an_unknown_key_inside_is_compared_with_the_keys_of_its_own_place(small):
    reseal(small, lambda manifest: manifest["golden"].update(tolerence=1))
    assert refused(small, "unknown key 'golden.tolerence'").hint == "did you mean 'tolerance'?"


def test_a_misspelt_key_is_told_as_such_and_not_as_missing(small):
    reseal(small, lambda manifest: manifest.update(evidense=manifest.pop("evidence")))
    assert refused(small, "unknown key 'evidense'").hint == "did you mean 'evidence'?"


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("golden", "tolerance"), "wide"),
        (("scheme",), "u4"),
        (("target", "memory_mb"), -1),
        (("preprocess", "std"), [0, 0, 0]),
        (("artifact", "inputs"), {}),
        (("files",), []),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_by_its_name(small, where, value):
    def change(manifest):
        for key in where[:-1]:
            manifest = manifest[key]
        manifest[where[-1]] = value

    reseal(small, change)
    refused(small, where[0])


@pytest.mark.parametrize("key", ["files", "labels", "golden", "artifact", "target", "evidence"])
def test_a_missing_key_is_refused_by_its_name(small, key):
    def change(manifest):
        del manifest[key]

    reseal(small, change)
    refused(small, f"missing '{key}'")


@pytest.mark.parametrize("entry", ["other.fake", "../small.bundle/model.fake", "/etc/hostname", ""])
def test_an_engine_file_that_is_not_sealed_is_never_opened(small, entry):
    reseal(small, lambda manifest: manifest["artifact"].update(entry=entry))
    refused(small, f"does not list {entry}")


def test_a_path_out_of_the_bundle_is_no_file_of_it(small):
    outside = small.parent / "outside"
    outside.write_text("x")
    digest = hashlib.sha256(b"x").hexdigest()
    reseal(small, lambda manifest: manifest["files"].update({"../outside": digest}))
    refused(small, "../outside is missing")


def test_golden_pictures_that_are_not_sealed_are_not_enough(small):
    (small / "golden.npz").unlink()

    def change(manifest):
        del manifest["files"]["golden.npz"]

    reseal(small, change)
    refused(small, "does not list golden.npz")


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b'{"labels": "\xff"}', b"[" * 100_000])
def test_a_manifest_that_is_no_json_object_is_refused(small, text):
    (small / "manifest.json").write_bytes(text)
    digest = hashlib.sha256(text).hexdigest()
    (small / "manifest.sha256").write_text(f"{digest}  manifest.json\n")
    refused(small, "manifest.json")


def test_what_was_never_a_bundle_is_told_from_what_is_not_there(tmp_path):
    with pytest.raises(UsageError, match="no such bundle"):
        read_bundle(tmp_path / "absent")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is not a bundle"):
        read_bundle(tmp_path / "file")
    refused(tmp_path, "no manifest.json")
