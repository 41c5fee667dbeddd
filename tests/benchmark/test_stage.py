import json
import statistics
import threading
import time

import pytest

from edgeresnet.backends import BACKENDS
from edgeresnet.benchmark import stage
from edgeresnet.benchmark.compare import compare
from edgeresnet.benchmark.legs import FEWEST_RESULTS
from edgeresnet.benchmark.stage import benchmark
from edgeresnet.core.errors import ModelError, UsageError
from edgeresnet.core.protocols import Mode
from edgeresnet.testing import FakeBackend, plugged, write_bundle


@pytest.fixture
def backend(monkeypatch):
    """The fake, and one counted round: the figures of a fake are of no interest."""
    monkeypatch.setattr(stage, "ROUNDS", 1)
    fake = FakeBackend(during=lambda _pictures: time.sleep(0.001))
    before = threading.active_count()
    with plugged(BACKENDS, "fake", backend=fake):
        yield fake
    assert threading.active_count() <= before  # threads of earlier tests may end meanwhile


@pytest.fixture
def bundle(tmp_path):
    return write_bundle(tmp_path / "b", classes=256)


def test_the_report_has_every_field_and_its_frames_balance(backend, bundle):
    told = []
    report = benchmark(bundle, seconds=0.1, progress=lambda *step: told.append(step))
    data = json.loads(json.dumps(report.as_json()))
    assert set(data) >= {
        "model",
        "source",
        "frames",
        "engine",
        "fps",
        "bound_fps",
        "of_bound",
        "latency_ms",
        "stages_ms",
        "recompiled",
        "rss_mb",
        "fingerprint",
    }
    frames = data["frames"]
    assert frames["captured"] == frames["inferred"] + sum(frames["dropped"].values())
    assert frames["inferred"] == report.latency.total > 1
    assert set(data["stages_ms"]) == {"decode", "prepare", "infer", "finish"}
    assert set(data["engine"]) == {"fps", "latency_ms"}
    assert set(data["latency_ms"]) == {"p50", "p90", "p99", "max"}
    assert data["model"] == "sha256:" + "0" * 64
    assert told[-1] == ("benchmark", 1, 1)


def test_its_figures_hang_together(backend, bundle):
    report = benchmark(bundle, seconds=0.1)
    data = report.as_json()
    core_s = report.prepare_ms / 1e3 / report.cores
    assert report.bound_fps == pytest.approx(1 / (core_s + 1 / report.engine_fps))
    assert data["of_bound"] == pytest.approx(report.end_to_end_fps / report.bound_fps, abs=1e-3)
    assert data["of_engine"] == pytest.approx(report.end_to_end_fps / report.engine_fps, abs=1e-3)
    for times in (data["latency_ms"], data["engine"]["latency_ms"]):
        assert 0 < times["p50"] <= times["p90"] <= times["p99"] <= times["max"]
    assert times["p50"] >= 1  # a run sleeps for a millisecond


def test_the_engine_is_loaded_once_for_each_mode_and_closed(backend, bundle):
    backend.wrong_sessions = 1
    report = benchmark(bundle, seconds=0.1)
    assert {mode for mode, _ in backend.loads} == {Mode.THROUGHPUT, Mode.LATENCY}
    assert report.recompiled == 1
    assert backend.open_engines == 0


def test_pictures_per_second_count_every_picture_of_a_batch(backend, tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "runs_per_second", lambda *_: 10.0)  # runs a second
    bundle = write_bundle(tmp_path / "four", classes=256, batch=4)
    assert benchmark(bundle, seconds=0.1).engine_fps == 40


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
def test_seconds_must_be_a_time(bundle, seconds):
    with pytest.raises(UsageError, match="--seconds must be positive"):
        benchmark(bundle, seconds=seconds)


def test_an_engine_as_slow_as_a_leg_is_long_is_timed_over_a_few_frames(monkeypatch, bundle):
    monkeypatch.setattr(stage, "ROUNDS", 1)
    slow = FakeBackend(during=lambda _pictures: time.sleep(0.2))
    with plugged(BACKENDS, "fake", backend=slow):
        report = benchmark(bundle, seconds=0.1)
    assert report.frames.inferred >= FEWEST_RESULTS * (slow.parallel + 1)
    assert report.frames.balanced
    assert sum(report.core_ms.values()) == pytest.approx(
        report.cores * 1e3 / report.end_to_end_fps, rel=1e-3
    )
    assert report.core_ms["engine"] < 20  # of a run that sleeps for 200 ms


def test_a_source_of_one_frame_tells_no_rate(backend, bundle):
    with pytest.raises(UsageError, match="too few frames") as caught:
        benchmark(bundle, source="synthetic://8x8?count=1", seconds=0.1)
    assert "loop=1" in caught.value.hint


def test_a_source_that_is_not_there_is_refused(backend, bundle):
    with pytest.raises(UsageError, match="no such file"):
        benchmark(bundle, source="absent.mp4", seconds=0.1)
    assert backend.open_engines == 0


def test_an_engine_that_fails_is_raised_on_the_callers_thread(backend, bundle):
    """Not lost on the thread of the leg that it failed in."""
    calls = []

    def during(_pictures):
        calls.append(1)
        if len(calls) > 40:
            raise ModelError("the device failed")

    backend.during = during
    with pytest.raises(ModelError, match="the device failed"):
        benchmark(bundle, seconds=0.1)


REPORT = {
    "fps": 100.0,
    "engine": {"fps": 120.0, "latency_ms": {"p50": 9.0}},
    "latency_ms": {"p50": 11.0, "p99": 20.0},
}


def test_two_reports_are_compared_figure_by_figure():
    before = {**REPORT, "fps": 50.0}
    rows = {name: (was, now) for name, was, now in compare(REPORT, before)}
    assert rows["end to end, frames/s"] == (50, 100)
    assert rows["engine p50, ms"] == (9, 9)
    assert len(rows) == 5


@pytest.mark.parametrize(
    "other", [{}, {"fps": None}, {"fps": "fast", "engine": 3, "latency_ms": []}, {"error": {}}]
)
def test_what_only_one_report_has_is_left_out(other):
    assert compare(REPORT, other) == []
    assert compare(other, REPORT) == []


def test_a_real_bundle_is_measured(sample_bundle, monkeypatch):
    monkeypatch.setattr(stage, "ROUNDS", 3)
    report = benchmark(sample_bundle, source="synthetic://160x120?count=0", seconds=0.1)
    assert statistics.fmean([report.end_to_end_fps, report.engine_fps]) > 1
    assert report.frames.balanced
    assert report.recompiled == 0
