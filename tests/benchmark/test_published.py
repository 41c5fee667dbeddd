"""What others published stands beside what is measured, never as it."""

import json

import pytest

from edgeresnet.backends import BACKENDS
from edgeresnet.benchmark import stage
from edgeresnet.benchmark.published import published_for, said
from edgeresnet.benchmark.stage import benchmark
from edgeresnet.cli import main
from edgeresnet.core.bundle import read_bundle, seal
from edgeresnet.core.target import Published, Scheme, load_target
from edgeresnet.testing import FakeBackend, plugged, write_bundle

NANO = load_target("jetson-orin-nano-8gb")


def manifest(folder, *, size=(224, 224), scheme=Scheme.S8_SYMMETRIC, target=NANO):
    """Of a bundle for ``target``; its engine is the fake's."""
    written = read_bundle(write_bundle(folder, classes=256, size=size)).manifest
    changed = target.model_copy(update={"backend": "fake", "options": {}})
    return written.model_copy(update={"target": changed, "scheme": scheme})


def test_precision_and_batch_decide(tmp_path):
    int8 = manifest(tmp_path / "b")
    assert [(one.precision, one.batch) for one in published_for(int8, 1)] == [("int8", 1)]
    assert [one.latency_ms for one in published_for(int8, 8)] == [4.93]
    assert published_for(int8, 3) == ()


def test_a_float_bundle_is_held_to_what_its_backend_computes_in(tmp_path):
    float_ = manifest(tmp_path / "b", scheme=Scheme.FLOAT)
    with plugged(BACKENDS, "fake", backend=FakeBackend()):
        assert [one.precision for one in published_for(float_, 1)] == ["float32"]


def test_other_pictures_are_another_network(tmp_path):
    assert published_for(manifest(tmp_path / "b", size=(192, 192)), 1) == ()


def test_a_device_without_figures_has_none(tmp_path):
    thor = load_target("jetson-agx-thor")
    assert published_for(manifest(tmp_path / "b", target=thor), 1) == ()


def test_a_figure_without_a_batch_is_never_held_beside_a_measured_one(tmp_path):
    found = published_for(manifest(tmp_path / "b", target=load_target("jetson-orin-nx-16gb")), 1)
    assert [(one.batch, one.fps) for one in found] == [(1, None)]


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (
            Published(precision="int8", batch=1, latency_ms=1.19, runtime="r", source="s"),
            "(int8, batch 1): 1.19 ms a run; power mode not told; r; by s",
        ),
        (
            Published(precision="int8", fps=2518, power_mode="MAXN", runtime="r", source="s"),
            "(int8): 2518 frames/s; power mode MAXN; r; by s",
        ),
    ],
)
def test_a_line_says_whose_it_is_and_that_it_was_not_measured_here(one, words):
    assert said(one) == f"published, not measured here, for ResNet-50 {words}"


@pytest.fixture
def bundle(tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "ROUNDS", 1)
    changed = manifest(tmp_path / "b")
    seal(tmp_path / "b", changed)
    with plugged(BACKENDS, "fake", backend=FakeBackend()):
        yield tmp_path / "b"


def test_the_report_shows_it_beside_the_engine_and_apart_from_it(bundle, capsys):
    assert main(["benchmark", str(bundle), "--seconds", "0.1", "-q"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (at,) = [i for i, line in enumerate(lines) if line.startswith("published, not measured here")]
    assert "1.19 ms" in lines[at]
    assert "MAXN_SUPER" in lines[at]
    assert "onnxsim" in lines[at]
    assert lines[at + 1].lstrip().startswith("measured here, engine alone: p50")


def test_json_keeps_it_in_a_list_of_its_own(bundle, capsys):
    assert main(["benchmark", str(bundle), "--seconds", "0.1", "--json", "-q"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert [one["latency_ms"] for one in data["published"]] == [1.19]
    assert data["engine"]["latency_ms"]["p50"] != 1.19


def test_a_target_without_figures_adds_nothing(bundle):
    plain = write_bundle(bundle.parent / "plain", classes=256)
    assert "published" not in benchmark(plain, seconds=0.1).as_json()
