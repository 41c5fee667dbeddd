"""Engines are kept for this user, this machine, this version; nothing else is trusted."""

import json
import logging
import multiprocessing
import os
import signal
import time

import pytest

from edgeresnet.backends.tensorrt import store as module
from edgeresnet.backends.tensorrt.store import Store

HERE = {"graph": "ab12", "TensorRT": "10.3.0", "GPU": "Orin (8.7)", "driver": "R36.4"}
PLAN = bytes(range(256)) * 40


@pytest.fixture
def store(engines):
    return Store(engines)


def plan_of(engines):
    (plan,) = engines.glob("*.plan")
    return plan


def test_what_is_kept_is_found(store, engines):
    assert store.find(HERE) is None
    store.keep(HERE, PLAN, 12.34)
    found = Store(engines).find(HERE)
    assert (found.plan, found.built_s) == (PLAN, 12.3)
    assert store.last_built_s() == 12.3


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"TensorRT": "10.13.3"}, "TensorRT was 10.3.0, is 10.13.3"),
        ({"GPU": "Thor (11.0)"}, "GPU was Orin (8.7), is Thor (11.0)"),
        ({"driver": "R38"}, "driver was R36.4, is R38"),
        ({"graph": "cd34"}, "graph was ab12, is cd34"),
        ({"options": "more"}, "options was nothing, is more"),
    ],
)
def test_an_engine_of_another_kind_is_not_taken_and_one_line_says_why(store, caplog, changed, said):
    store.keep(HERE, PLAN, 1)
    with caplog.at_level(logging.WARNING):
        assert store.find({**HERE, **changed}) is None
    assert caplog.messages == [f"the engine is built again: {said}"]


def test_a_first_build_says_nothing(store, caplog):
    with caplog.at_level(logging.WARNING):
        assert store.find(HERE) is None
    assert caplog.messages == []


def flip(file):
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(bytes(data))


def cut(file):
    file.write_bytes(file.read_bytes()[:-100])


def empty(file):
    file.write_bytes(b"")


@pytest.mark.parametrize("damage", [flip, cut, empty])
@pytest.mark.parametrize("suffix", [".plan", ".json"])
def test_one_that_was_altered_or_cut_is_never_taken(store, engines, caplog, damage, suffix):
    store.keep(HERE, PLAN, 1)
    damage(plan_of(engines).with_suffix(suffix))
    with caplog.at_level(logging.WARNING):
        assert store.find(HERE) is None
    assert "the kept one was altered or cut short" in caplog.text
    store.keep(HERE, PLAN, 1)
    assert store.find(HERE).plan == PLAN


def test_one_sealed_by_somebody_else_is_never_taken(store, engines, tmp_path, caplog):
    other = tmp_path / "elsewhere/tensorrt-bundle"
    other.mkdir(parents=True)
    Store(other).keep(HERE, b"code of an attacker", 1)
    for file in other.iterdir():
        (engines / file.name).write_bytes(file.read_bytes())
    assert store.find(HERE) is None
    assert "altered" in caplog.text


def test_an_identity_cannot_be_written_over_another_engine(store, engines):
    store.keep(HERE, PLAN, 1)
    note = plan_of(engines).with_suffix(".json")
    data = json.loads(note.read_text())
    data["identity"]["GPU"] = "Thor (11.0)"
    note.write_text(json.dumps(data))
    thor = {**HERE, "GPU": "Thor (11.0)"}
    assert store.find(thor) is None  # it lies under Orin's name
    for suffix in (".plan", ".json"):
        source = plan_of(engines).with_suffix(suffix)
        name = store._files(thor)[0].with_suffix(suffix)
        name.write_bytes(source.read_bytes())
        assert store.find(thor) is None
        name.unlink()


def test_everything_is_the_owners_alone(store, engines):
    store.keep(HERE, PLAN, 1)
    shared = engines.parent / "tensorrt-shared"
    for file in (*engines.glob("*.plan"), *engines.glob("*.json"), shared / "key"):
        assert file.stat().st_mode & 0o077 == 0, file
    assert shared.stat().st_mode & 0o077 == 0


def test_a_key_that_a_power_loss_cut_is_made_anew(store, engines):
    store.keep(HERE, PLAN, 1)
    (engines.parent / "tensorrt-shared/key").write_bytes(b"short")
    assert store.find(HERE) is None
    store.keep(HERE, PLAN, 1)
    assert store.find(HERE).plan == PLAN


def test_a_full_disk_costs_the_next_start_not_this_run(store, engines, caplog, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("edgeresnet.core.files.os.fsync", full)
    with caplog.at_level(logging.WARNING):
        store.keep(HERE, PLAN, 1)
        store.keep_timing("kind", b"learned")
    assert "cannot be kept and is built at each start: disk full" in caplog.text
    assert [file.name for file in engines.iterdir()] == []
    assert store.find(HERE) is None


def test_timing_caches_are_shared_by_bundles_and_sealed(store, engines):
    assert store.timing("orin") == b""
    store.keep_timing("orin", b"learned")
    beside = engines.parent / "tensorrt-other"
    assert Store(beside).timing("orin") == b"learned"
    assert store.timing("thor") == b""
    (file,) = (engines.parent / "tensorrt-shared").glob("timing-*")
    flip(file)
    assert store.timing("orin") == b""


def test_of_all_bundles_engines_those_used_longest_ago_go_first(store, engines, monkeypatch):
    monkeypatch.setattr(module, "_MOST_BYTES", 2 * len(PLAN))
    beside = Store(engines.parent / "tensorrt-other")
    ages = {}
    for age, (place, graph) in enumerate([(beside, "old"), (store, "older")], start=1):
        identity = {**HERE, "graph": graph}
        place.keep(identity, PLAN, 1)
        file = place._files(identity)[0]
        os.utime(file, (1e9 - age, 1e9 - age))
        ages[graph] = (place, identity)
    store.keep({**HERE, "graph": "new"}, PLAN, 1)
    assert store.find({**HERE, "graph": "new"}) is not None
    assert beside.find(ages["old"][1]) is not None
    assert store.find(ages["older"][1]) is None


def build_slowly(folder, started, log):
    """What a process does that needs an engine: one builds, the others find it."""
    store = Store(folder)
    with store.alone():
        if store.find(HERE) is None:
            started.set()
            time.sleep(0.5)
            store.keep(HERE, PLAN, 0.5)
            log.put("built")
        else:
            log.put("found")


def test_of_two_processes_one_builds_and_one_waits(engines):
    spawn = multiprocessing.get_context("spawn")
    started, log = spawn.Event(), spawn.Queue()
    first = spawn.Process(target=build_slowly, args=(engines, started, log))
    first.start()
    assert started.wait(60)
    heard = []
    with Store(engines).alone(lambda *told: heard.append(told)):
        assert Store(engines).find(HERE).plan == PLAN
    first.join()
    assert log.get(timeout=10) == "built"
    assert heard[0][0] == "wait for the process that builds this engine"


def test_a_process_that_dies_in_its_build_leaves_nothing_torn_and_no_lock(engines):
    spawn = multiprocessing.get_context("spawn")
    started, log = spawn.Event(), spawn.Queue()
    process = spawn.Process(target=build_slowly, args=(engines, started, log))
    process.start()
    assert started.wait(60)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with Store(engines).alone():
        assert Store(engines).find(HERE) is None
    assert {file.name for file in engines.iterdir()} == {"lock"}
