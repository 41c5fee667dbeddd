"""Another runtime serves while the device builds; the engine takes over once it is proved."""

import logging
import threading
import time
from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import pytest

from edgeresnet.backends import BACKENDS
from edgeresnet.core.bundle import MANIFEST, SEAL, Manifest, read_bundle, seal
from edgeresnet.core.errors import DeviceError, ModelError
from edgeresnet.core.protocols import Mode
from edgeresnet.core.tensors import IMAGE, LOGITS
from edgeresnet.flow.meanwhile import open_meanwhile
from edgeresnet.testing import FakeBackend, grey, plugged, write_bundle

WAIT_S = 20


@pytest.fixture
def on_device(tmp_path):
    """A bundle whose engine each device builds for itself."""
    folder = write_bundle(tmp_path / "b", classes=256)
    manifest = Manifest.model_validate_json((folder / MANIFEST).read_text())
    artifact = manifest.artifact.model_copy(update={"on_device": True})
    for name in (MANIFEST, SEAL):
        (folder / name).unlink()
    seal(folder, manifest.model_copy(update={"artifact": artifact}))
    return read_bundle(folder)


class Bench:
    """The builder, which waits until it may go on, and the runtime that serves meanwhile."""

    def __init__(self):
        self.go = threading.Event()
        self.error = None
        self.steps = 0
        self.builder = FakeBackend(loading=self._load)
        self.stand_in = FakeBackend(name="standing")

    def _load(self, progress):
        while not self.go.wait(0.01):
            self.steps += 1
            progress("build the engine", self.steps, 10_000)
        if self.error is not None:
            raise self.error


@pytest.fixture
def bench():
    bench = Bench()
    with ExitStack() as stack:
        stack.enter_context(plugged(BACKENDS, "fake", backend=bench.builder))
        stack.enter_context(plugged(BACKENDS, "standing", backend=bench.stand_in))
        yield bench


def label(session, value):
    return int(np.argmax(session.infer({IMAGE: grey(value, (8, 8))[None]})[LOGITS]))


def until(happened):
    end = time.monotonic() + WAIT_S
    while not happened():
        assert time.monotonic() < end, "did not happen"
        time.sleep(0.005)


@pytest.mark.parametrize(("mode", "spare"), [(Mode.LATENCY, 0), (Mode.THROUGHPUT, 1)])
def test_frames_are_served_at_once_and_by_the_engine_when_it_is_proved(
    bench, on_device, caplog, mode, spare
):
    with open_meanwhile(on_device, mode, "standing", spare=spare) as opened:
        assert opened.handover.after_s is None
        assert [label(session, 7) for session in opened.sessions] == [7] * len(opened.sessions)
        served = opened.handover.frames
        assert served == len(opened.sessions)
        with caplog.at_level(logging.WARNING):
            bench.go.set()
            until(lambda: opened.handover.after_s is not None)
        bench.stand_in.during = lambda _: pytest.fail("the stand-in is done")
        assert [label(session, 9) for session in opened.sessions] == [9] * len(opened.sessions)
        assert opened.handover.frames == served
    assert "fake serves from now on" in caplog.text
    assert (bench.builder.open_engines, bench.stand_in.open_engines) == (0, 0)


def test_every_session_of_the_engine_is_proved_before_it_serves(bench, on_device):
    bench.builder.wrong_loads = 1
    with open_meanwhile(on_device, Mode.LATENCY, "standing") as opened:
        bench.go.set()
        until(lambda: opened.handover.after_s is not None)
        assert label(opened.sessions[0], 9) == 9
    assert len(bench.builder.loads) == 2


def test_an_engine_that_stays_wrong_never_serves_and_ends_the_run(bench, on_device):
    bench.builder.wrong_loads = 99
    with open_meanwhile(on_device, Mode.LATENCY, "standing") as opened:
        bench.go.set()
        until(lambda: opened.handover.error is not None)
        with pytest.raises(ModelError, match="something else than was proved"):
            label(opened.sessions[0], 9)


def test_a_build_that_fails_is_told_to_whoever_infers_next(bench, on_device):
    bench.error = DeviceError("out of memory while TensorRT built it")
    with open_meanwhile(on_device, Mode.LATENCY, "standing") as opened:
        assert label(opened.sessions[0], 3) == 3
        bench.go.set()
        until(lambda: opened.handover.error is not None)
        with pytest.raises(DeviceError, match="out of memory while"):
            label(opened.sessions[0], 3)


def test_a_run_that_ends_first_ends_the_build(bench, on_device):
    with open_meanwhile(on_device, Mode.LATENCY, "standing") as opened:
        until(lambda: bench.steps > 1)
        assert opened.handover.after_s is None
    until(lambda: not any(thread.name == "build" for thread in threading.enumerate()))
    assert opened.handover.as_json()["handed_over_after_s"] is None


def test_a_stand_in_is_proved_as_any_engine(bench, on_device):
    bench.stand_in.wrong_loads = 1
    with pytest.raises(ModelError, match="standing computes something else"):
        open_meanwhile(on_device, Mode.LATENCY, "standing").__enter__()
    assert bench.stand_in.open_engines == 0


def test_a_bundle_that_brings_its_engine_needs_no_stand_in(bench, tmp_path):
    bench.go.set()
    bundle = read_bundle(write_bundle(tmp_path / "whole", classes=256))
    with open_meanwhile(bundle, Mode.LATENCY, "standing") as opened:
        assert opened.handover is None
        assert label(opened.sessions[0], 5) == 5
    assert bench.stand_in.loads == []


def test_the_stand_in_reads_the_very_file_that_the_engine_is_built_from(bench, on_device):
    seen = []
    real = bench.stand_in.load

    def load(artifact, target, mode, cache):
        seen.append((artifact, target.backend))
        return real(artifact, target, mode, cache)

    bench.stand_in.load = load
    with open_meanwhile(on_device, Mode.LATENCY, "standing"):
        pass
    assert seen == [(replace(on_device.artifact, backend="standing"), "onnxruntime")]
