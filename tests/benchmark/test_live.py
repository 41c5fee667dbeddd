import pytest

from edgeresnet.backends import BACKENDS
from edgeresnet.benchmark import stage
from edgeresnet.benchmark.stage import benchmark
from edgeresnet.core.errors import DeviceError, UsageError
from edgeresnet.core.protocols import Mode
from edgeresnet.testing import FakeBackend, plugged, write_bundle


@pytest.fixture
def bundle(tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "ROUNDS", 1)
    return write_bundle(tmp_path / "b", classes=256)


def test_from_a_live_source_the_engine_runs_at_its_cadence_and_alone(bundle):
    runs = []
    backend = FakeBackend(during=lambda _pictures: runs.append(1))
    with plugged(BACKENDS, "fake", backend=backend):
        report = benchmark(bundle, source="synthetic://64x48?fps=50&count=0", seconds=2)
    data = report.as_json()
    assert data["live"]
    assert {mode for mode, _ in backend.loads} == {Mode.LATENCY}
    assert report.engine_latency.total <= 1 + 50 * 1  # one of two legs of a second each
    assert report.engine_latency.total > 10
    assert report.end_to_end_fps == pytest.approx(50, rel=0.3)
    assert data["core_ms"] == {}
    frames = data["frames"]
    assert frames["captured"] == frames["inferred"] + sum(frames["dropped"].values())


def test_a_live_source_slower_than_its_legs_tells_no_rate(bundle):
    with (
        plugged(BACKENDS, "fake", backend=FakeBackend()),
        pytest.raises(UsageError, match="too few frames to tell a rate") as caught,
    ):
        benchmark(bundle, source="synthetic://64x48?fps=1&count=0", seconds=1)
    assert "--seconds" in caught.value.hint


def test_where_the_cores_time_of_a_frame_goes_adds_up(bundle):
    with plugged(BACKENDS, "fake", backend=FakeBackend()):
        report = benchmark(bundle, seconds=1)
    whole_ms = report.cores * 1e3 / report.end_to_end_fps
    assert sum(report.core_ms.values()) == pytest.approx(whole_ms, rel=0.01)
    assert set(report.core_ms) == {"decode_prepare", "engine", "rest", "idle"}


def test_another_program_has_its_turn_in_each_round(bundle, monkeypatch):
    monkeypatch.setattr(stage, "ROUNDS", 3)
    rates = iter([10.0, 30.0, 20.0])
    monkeypatch.setattr(stage, "rates_beside", lambda _command: {"other": next(rates)})
    with plugged(BACKENDS, "fake", backend=FakeBackend()):
        report = benchmark(bundle, seconds=0.1, beside=["other"])
    data = report.as_json()
    assert data["beside"]["other"]["fps"] == 20
    assert data["beside"]["other"]["ours_over_it"] == pytest.approx(data["fps"] / 20, rel=0.01)


def test_a_source_that_gives_nothing_is_told_with_its_reason_and_without_its_password(
    bundle, monkeypatch
):
    monkeypatch.setattr("edgeresnet.benchmark.legs.FIRST_FRAME_S", 4)
    with (
        plugged(BACKENDS, "fake", backend=FakeBackend()),
        pytest.raises(DeviceError, match=r"gave no frame in 4 s.*refuses") as caught,
    ):
        benchmark(bundle, source="rtsp://me:geheim@127.0.0.1:9/x", seconds=1)
    assert "geheim" not in str(caught.value)
