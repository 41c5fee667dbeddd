"""Weights are read from the files that people have, and nothing in a file is ever run."""

import json
import os
import pickle
import warnings
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from edgeresnet.convert.checkpoint import (
    _PREFIXES,
    _WRAPPERS,
    read_checkpoint,
    read_factory,
    unwrap,
)
from edgeresnet.core.errors import EdgeError, ModelError, UsageError
from edgeresnet.core.files import sha256_file
from edgeresnet.core.labels import Labels
from edgeresnet.core.preprocess import Color, Preprocess, as_json


def weights():
    generator = torch.Generator().manual_seed(1)
    return {
        "conv1.weight": torch.randn(4, 3, 3, 3, generator=generator),
        "bn1.running_mean": torch.randn(4, generator=generator),
        "bn1.num_batches_tracked": torch.tensor(7),
        "fc.weight": torch.randn(2, 4, generator=generator),
        "fc.bias": torch.randn(2, generator=generator),
    }


def same(found, expected):
    return list(found) == list(expected) and all(
        torch.equal(found[k], expected[k]) for k in expected
    )


def saved(folder, value, name="w.pth", **options):
    path = folder / name
    torch.save(value, path, **options)
    return path


@settings(max_examples=60)
@given(
    wrappers=st.lists(st.sampled_from(_WRAPPERS), max_size=3),
    prefixes=st.lists(st.sampled_from(_PREFIXES), max_size=3),
)
def test_the_weights_come_out_of_any_wrapping(wrappers, prefixes):
    value = {"".join(prefixes) + name: tensor for name, tensor in weights().items()}
    for name in wrappers:
        value = {"epoch": 3, "optimizer": {"state": {}, "param_groups": []}, name: value}
    assert same(unwrap(value, Path("w.pth")), weights())


def test_a_prefix_that_not_every_name_has_stays():
    state = {**weights(), "module.extra": torch.zeros(1)}
    assert "module.extra" in unwrap(state, Path("w.pth"))


def test_what_is_no_tensor_beside_the_weights_is_left_out():
    state = {**weights(), "epoch": 3, "name": "resnet"}
    assert same(unwrap(state, Path("w.pth")), weights())


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_every_precision_becomes_float32_and_counters_stay_counters(tmp_path, kind):
    state = {k: v.to(kind) if v.is_floating_point() else v for k, v in weights().items()}
    found = read_checkpoint(saved(tmp_path, state)).state
    assert found["fc.bias"].dtype == torch.float32
    assert found["bn1.num_batches_tracked"].dtype == torch.int64
    torch.testing.assert_close(found["fc.bias"], weights()["fc.bias"], rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("name", ["w.pth", "w.pt", "w.bin", "w.ckpt", "w"])
@pytest.mark.parametrize("zipped", [True, False])
def test_torch_files_of_any_name_and_age_are_read(tmp_path, name, zipped):
    path = saved(tmp_path, weights(), name, _use_new_zipfile_serialization=zipped)
    found = read_checkpoint(path)
    assert same(found.state, weights())
    assert found.sha256 == sha256_file(path)
    assert (found.stride_in, found.preprocess, found.labels) == (None, None, None)


def test_an_ordered_dict_with_its_metadata_is_read(tmp_path):
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.BatchNorm2d(4))
    found = read_checkpoint(saved(tmp_path, network.state_dict()))
    assert isinstance(network.state_dict(), OrderedDict)
    assert same(found.state, network.state_dict())


def test_a_safetensors_file_tells_how_it_was_trained(tmp_path):
    path = tmp_path / "w.safetensors"
    preprocess = Preprocess(size=(128, 128), resize=146, color=Color.BGR)
    metadata = {
        "edgeresnet.stride_in": "1x1",
        "edgeresnet.preprocess": as_json(preprocess),
        "edgeresnet.labels": json.dumps(["cat", "dög"]),
    }
    save_file(weights(), path, metadata)
    found = read_checkpoint(path)
    assert same(dict(sorted(found.state.items())), dict(sorted(weights().items())))
    assert found.stride_in == "1x1"
    assert found.preprocess == preprocess
    assert found.labels == Labels(("cat", "dög"))


def test_what_others_write_into_safetensors_metadata_means_nothing(tmp_path):
    path = tmp_path / "w.safetensors"
    save_file(
        weights(), path, {"format": "pt", "labels": "many", "stride_in": "?", "preprocess": ""}
    )
    found = read_checkpoint(path)
    assert (found.stride_in, found.preprocess, found.labels) == (None, None, None)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("stride_in", "2x2"),
        ("preprocess", "{"),
        ("preprocess", '{"size": 3}'),
        ("labels", "[1, 2"),
        ("labels", "3"),
    ],
)
def test_damaged_metadata_of_our_own_is_refused(tmp_path, key, value):
    path = tmp_path / "w.safetensors"
    save_file(weights(), path, {f"edgeresnet.{key}": value})
    with pytest.raises(ModelError, match=rf"w\.safetensors.*{key}"):
        read_checkpoint(path)


class Runs:
    """Runs a command when it is unpickled."""

    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return os.system, (f"echo ran > {self.canary}",)


def _plain(value, path):
    path.write_bytes(pickle.dumps(value))


def _zipped(value, path):
    torch.save(value, path)


def _legacy(value, path):
    torch.save(value, path, _use_new_zipfile_serialization=False)


@pytest.mark.parametrize("write", [_plain, _zipped, _legacy])
@pytest.mark.parametrize("where", ["top", "beside", "inside"])
def test_code_in_a_pickle_is_not_run_wherever_it_hides(tmp_path, write, where):
    canary, path = tmp_path / "canary", tmp_path / "w.pth"
    trap = Runs(canary)
    value = {"top": trap, "beside": {**weights(), "x": trap}, "inside": {"model": [trap]}}[where]
    write(value, path)
    with pytest.raises(ModelError, match="would execute code") as caught:
        read_checkpoint(path)
    assert not canary.exists()
    assert "state_dict()" in caught.value.hint
    pickle.loads(pickle.dumps(trap))  # the trap does work
    assert canary.exists()


def test_a_whole_module_and_a_torchscript_archive_are_told_apart(tmp_path):
    network = torch.nn.Sequential(torch.nn.Linear(3, 4))
    with pytest.raises(ModelError, match=r"execute code \(torch\.nn"):
        read_checkpoint(saved(tmp_path, network))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch discourages TorchScript
        torch.jit.script(network).save(str(tmp_path / "script.pt"))
    with pytest.raises(ModelError, match="is a TorchScript archive") as caught:
        read_checkpoint(tmp_path / "script.pt")
    assert "torch.jit.load" in caught.value.hint


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({}, "holds no weights: its keys are none"),
        ({"epoch": 3, "lr": 0.1}, "its keys are epoch, lr"),
        ({"state_dict": {}}, "holds no weights"),
        ([1, 2], "holds a list"),
        (torch.zeros(3), "holds a Tensor"),
        (3, "holds a int"),
    ],
)
def test_a_file_without_weights_says_what_it_holds(tmp_path, value, says):
    with pytest.raises(ModelError, match=says):
        read_checkpoint(saved(tmp_path, value))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"<!DOCTYPE html><html>", "is a web page"),
        (b"  \n<HTML lang=en>", "is a web page"),
        (b'<?xml version="1.0"?>', "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
        (b"\x89HDF\r\n\x1a\n", "neither a torch checkpoint"),
        (b"hello", "neither a torch checkpoint"),
        (b"\x80", "is not a"),
        (b"PK\x03\x04", "is not a"),
    ],
)
def test_what_is_no_checkpoint_says_what_it_is(tmp_path, data, says):
    path = tmp_path / "w.pth"
    path.write_bytes(data)
    with pytest.raises(ModelError, match=says) as caught:
        read_checkpoint(path)
    assert str(path) in caught.value.what
    assert len(str(caught.value).splitlines()) == 2


def test_a_zip_of_something_else_is_refused(tmp_path):
    path = tmp_path / "w.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(ModelError, match=r"w\.pth"):
        read_checkpoint(path)


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors", "model.json"])
def test_missing_empty_and_folder_are_usage_errors(tmp_path, name):
    path = tmp_path / name
    with pytest.raises(UsageError, match="no such file"):
        read_checkpoint(path)
    path.touch()
    with pytest.raises(UsageError, match="is empty"):
        read_checkpoint(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        read_checkpoint(path)


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_damage_is_read_or_named_never_a_crash(tmp_path, kind, data):
    path = tmp_path / ("w.safetensors" if kind == "safetensors" else "w.pth")
    if kind == "safetensors":
        save_file(weights(), path)
    else:
        torch.save(weights(), path, _use_new_zipfile_serialization=kind == "zip")
    whole = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(whole[: data.draw(st.integers(1, len(whole)))]))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read_checkpoint(path)
    except EdgeError as error:
        assert path.name in error.what  # noqa: PT017
        assert len(str(error).splitlines()) <= 2  # noqa: PT017


MODELS = """
import torch
def good(): return torch.nn.Linear(3, 4)
def other(): return 3
def fails(): raise RuntimeError("no weights here")
def needs(path): return torch.nn.Linear(3, 4)
"""


@pytest.fixture
def models(tmp_path, monkeypatch):
    (tmp_path / "factory_models.py").write_text(MODELS)
    (tmp_path / "factory_broken.py").write_text("import no_such_package_at_all")
    (tmp_path / "factory_syntax.py").write_text("def (")
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_a_factory_gives_its_module_ready_to_run(models):
    module = read_factory("factory_models:good")
    assert isinstance(module, torch.nn.Linear)
    assert not module.training


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("factory_models:missing", "cannot import"),
        ("factory_none:good", "cannot import"),
        ("factory_broken:x", "no_such_package_at_all"),
        ("factory_syntax:x", "factory_syntax"),
        ("factory_models:", "cannot import"),
        (":good", "cannot import"),
        ("factory_models:other", "returned a int"),
        ("factory_models:fails", "RuntimeError: no weights here"),
        ("factory_models:needs", r"needs\(\) failed"),
        ("factory_models:MODELS", "cannot import"),
    ],
)
def test_a_factory_that_cannot_be_used_says_why(models, name, says):
    with pytest.raises(UsageError, match=says) as caught:
        read_factory(name)
    assert name in caught.value.what
