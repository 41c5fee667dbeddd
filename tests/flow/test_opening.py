import json
import os
from pathlib import Path

import numpy as np
import pytest

from edgeresnet.backends import BACKENDS
from edgeresnet.core.bundle import GOLDEN, MANIFEST, SEAL, Manifest, digests, seal
from edgeresnet.core.errors import MissingBackendError, ModelError, UsageError
from edgeresnet.core.protocols import Mode
from edgeresnet.flow import opening
from edgeresnet.flow.opening import open_bundle
from edgeresnet.testing import write_bundle


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A cache folder of this test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def caches(backend):
    return [cache for _, cache in backend.loads]


@pytest.mark.parametrize(
    ("mode", "sessions", "spare", "made"),
    [
        (Mode.THROUGHPUT, None, 0, 2),
        (Mode.THROUGHPUT, None, 1, 3),
        (Mode.THROUGHPUT, 5, 0, 5),
        (Mode.LATENCY, None, 0, 1),
    ],
)
def test_there_are_as_many_sessions_as_keep_the_engine_full(
    greys, backend, mode, sessions, spare, made
):
    with open_bundle(greys, mode, sessions=sessions, spare=spare) as opened:
        assert len(opened.sessions) == backend.sessions == made
        assert (opened.recompiled, opened.golden_error, opened.batch) == (0, 0.0, 1)


def test_every_session_is_proved_on_every_golden_picture(greys, backend):
    seen = []
    backend.during = lambda pictures: seen.append(int(pictures.max()))
    with open_bundle(greys, Mode.THROUGHPUT):
        assert seen == [0, 90, 255] * 2


def test_one_wrong_session_of_several_is_enough_to_compile_again(greys, backend, home):
    backend.wrong_sessions = 1
    with open_bundle(greys, Mode.THROUGHPUT) as opened:
        assert opened.recompiled == 1
        assert opened.golden_error == 0
    assert backend.sessions == 4
    first, second = caches(backend)
    assert first is not None
    assert list(first.iterdir()) == []  # what the cache held was part of the fault
    assert second is None


def test_wrong_engines_are_compiled_again_a_few_times_and_counted(greys, backend):
    backend.wrong_loads = 3
    with open_bundle(greys, Mode.LATENCY) as opened:
        assert opened.recompiled == 3


def test_an_engine_that_is_always_wrong_is_refused(greys, backend):
    backend.wrong_loads = 10**6
    with pytest.raises(ModelError, match=r"relative error 2 in 4 compilations, 0\.01 allowed"):
        open_bundle(greys, Mode.THROUGHPUT).__enter__()
    assert len(backend.loads) == 4
    assert backend.open_engines == 0


def test_the_next_start_may_use_the_cache_again(greys, backend, home):
    backend.wrong_loads = 1
    for _ in range(2):
        with open_bundle(greys, Mode.LATENCY):
            pass
    first, again, later = caches(backend)
    assert again is None
    assert later == first
    assert later.is_dir()


def test_leaving_closes_the_engine_also_on_an_error(greys, backend):
    def fail():
        with open_bundle(greys, Mode.LATENCY):
            assert backend.open_engines == 1
            raise KeyError("inside")

    with pytest.raises(KeyError, match="inside"):
        fail()
    assert backend.open_engines == 0
    assert len(backend.loads) == 1  # what fails inside is not the engine's fault


def test_a_changed_bundle_is_not_even_loaded(backend, tmp_path):
    bundle = write_bundle(tmp_path / "b")
    (bundle / "model.fake").write_text("another engine")
    with pytest.raises(ModelError, match=r"model\.fake was changed"):
        open_bundle(bundle, Mode.LATENCY).__enter__()
    assert backend.loads == []


def sealed_again(folder, **golden):
    """The bundle with another entry about its golden outputs."""
    table = json.loads((folder / MANIFEST).read_text())
    table["golden"] |= golden
    for name in (MANIFEST, SEAL):
        (folder / name).unlink()
    manifest = Manifest.model_validate(table)
    seal(folder, manifest.model_copy(update={"files": digests(folder)}))
    return folder


def test_a_bundle_with_another_signature_is_refused_before_anything_is_built(backend, tmp_path):
    bundle = sealed_again(write_bundle(tmp_path / "b"), signature=7)
    with pytest.raises(ModelError, match=r"made by another edgeresnet.*7.*has 1") as caught:
        open_bundle(bundle, Mode.LATENCY).__enter__()
    assert caught.value.hint == "compile it again"
    assert backend.loads == []


def test_a_bundle_of_before_signatures_had_numbers_is_read(backend, tmp_path):
    folder = write_bundle(tmp_path / "b")
    table = json.loads((folder / MANIFEST).read_text())
    del table["golden"]["signature"]
    table["schema_version"] = "1.1"
    assert Manifest.model_validate(table).golden.signature == 1
    (folder / MANIFEST).write_text(json.dumps(table))
    with open_bundle(sealed_again(folder), Mode.LATENCY) as opened:
        assert opened.bundle.manifest.schema_version == "1.1"


def test_golden_outputs_of_another_length_are_another_edgeresnets(backend, tmp_path):
    folder = write_bundle(tmp_path / "b")
    with np.load(folder / GOLDEN) as arrays:
        pictures, expected = arrays["pictures"], arrays["expected"]
    np.savez_compressed(folder / GOLDEN, pictures=pictures, expected=expected[:, :-1])
    with pytest.raises(ModelError, match="3 values a picture, this edgeresnet makes 4") as caught:
        open_bundle(sealed_again(folder), Mode.LATENCY).__enter__()
    assert (caught.value.hint, caught.value.exit_code) == ("compile it again", 4)


def test_the_cache_is_one_folder_a_bundle_and_the_owners_alone(greys, backend, home, tmp_path):
    other = write_bundle(tmp_path / "other")
    with open_bundle(greys, Mode.LATENCY), open_bundle(other, Mode.LATENCY):
        pass
    found = caches(backend)
    assert len(set(found)) == 2
    for folder in found:
        assert folder.parent == home / "edgeresnet/engines"
        assert folder.stat().st_mode & 0o777 == 0o700
        assert folder.name.startswith("fake-")


@pytest.mark.parametrize("where", ["key", "engines", "edgeresnet"])
@pytest.mark.parametrize("mode", [0o777, 0o770])
def test_a_cache_that_others_may_write_is_not_used(greys, backend, home, where, mode):
    with open_bundle(greys, Mode.LATENCY):
        pass
    (key,) = caches(backend)
    folder = {"key": key, "engines": key.parent, "edgeresnet": key.parents[1]}[where]
    folder.chmod(mode)
    with open_bundle(greys, Mode.LATENCY):
        pass
    assert caches(backend) == [key, None]


def test_a_cache_of_another_user_is_not_used(greys, backend, home, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with open_bundle(greys, Mode.LATENCY):
        pass
    assert caches(backend) == [None]


def test_where_no_folder_can_be_made_there_is_no_cache(greys, backend, home):
    home.write_text("a file is in the way")
    with open_bundle(greys, Mode.LATENCY):
        pass
    assert caches(backend) == [None]


def test_a_user_without_a_home_runs_without_a_cache(greys, backend, monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", homeless)
    with open_bundle(greys, Mode.LATENCY):
        pass
    assert caches(backend) == [None]


def test_of_many_caches_those_that_were_used_last_are_kept(backend, home, tmp_path):
    def use(classes):
        bundle = tmp_path / f"{classes}.bundle"
        with open_bundle(
            bundle if bundle.exists() else write_bundle(bundle, classes=classes), Mode.LATENCY
        ):
            pass
        return caches(backend)[-1]

    long_ago = [use(2 + n) for n in range(opening._KEPT)]
    shared = long_ago[0].parent / "fake-shared"
    shared.mkdir()
    os.utime(shared, (1, 1))
    for age_s, folder in enumerate(reversed(long_ago), start=1):
        os.utime(folder, (1e9 - age_s, 1e9 - age_s))
    assert use(2) == long_ago[0]  # the oldest, but used again
    newest = use(100)
    left = {*long_ago, newest, shared} - {long_ago[1]}  # what bundles share belongs to no bundle
    assert set(newest.parent.iterdir()) == left


def test_a_runtime_that_keeps_nothing_leaves_no_folder(greys, backend, home, monkeypatch):
    monkeypatch.setattr(Path, "touch", lambda _: None)  # so the fake leaves no file
    with open_bundle(greys, Mode.LATENCY):
        pass
    assert list((home / "edgeresnet/engines").iterdir()) == []


def test_the_cache_can_be_done_without(greys, backend, home):
    with open_bundle(greys, Mode.LATENCY, use_cache=False):
        pass
    assert caches(backend) == [None]
    assert not home.exists()


def test_a_backend_nobody_knows_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="no backend named 'fake'"):
        open_bundle(write_bundle(tmp_path / "b"), Mode.LATENCY).__enter__()


def test_a_backend_whose_package_is_absent_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setitem(BACKENDS, "fake", "no_such_package_xyz")
    with pytest.raises(MissingBackendError, match="cannot be loaded") as caught:
        open_bundle(write_bundle(tmp_path / "b"), Mode.LATENCY).__enter__()
    assert caught.value.hint == "pip install 'edgeresnet[fake]'"
