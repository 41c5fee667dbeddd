"""Live sources in a run: faster than the model, and many of them with one that flaps: S21, S22."""

import threading
import time
from contextlib import contextmanager

import psutil
import pytest

from edgeresnet.backends import BACKENDS
from edgeresnet.flow.stream import Policy
from edgeresnet.run.stage import run
from edgeresnet.testing import FakeBackend, plugged, write_bundle

MANY, FPS = 16, 5
WITHIN_S = 60
"""Sixteen interpreters start on two cores."""


@pytest.fixture
def bundle(tmp_path):
    return write_bundle(tmp_path / "fake.bundle", classes=256)


@contextmanager
def slow(seconds):
    """A model that takes so long for a frame."""
    backend = FakeBackend(during=lambda _pictures: time.sleep(seconds))
    with plugged(BACKENDS, "fake", backend=backend):
        yield


def balanced(report):
    assert report.counters.balanced
    assert all(feed.counters.balanced for feed in report.feeds)
    parts = [feed.counters.as_json() for feed in report.feeds]
    assert sum(part["captured"] for part in parts) == report.counters.captured
    assert sum(part["inferred"] for part in parts) == report.counters.inferred
    return report


def test_a_camera_ten_times_faster_than_the_model_costs_frames_not_latency_or_memory(bundle):
    source, before = "synthetic://320x240?count=0&fps=300", psutil.Process().memory_info().rss
    indexes = []
    with slow(0.033):
        report = balanced(
            run(
                bundle,
                source,
                policy=Policy(frames=600),
                on_result=lambda _report, result: indexes.append(result.frame.index),
            )
        )
    assert report.counters.inferred < 200
    assert report.counters.dropped.keys() <= {"newer", "overrun", "stopped"}
    assert report.counters.dropped["newer"] > 300
    assert indexes == sorted(set(indexes))
    assert report.latency.percentile(99) < 1000  # a queue of 600 frames would be 20 s old
    assert psutil.Process().memory_info().rss - before < 50e6


def test_of_sixteen_cameras_one_that_flaps_disturbs_none_of_the_others(bundle):
    uri = f"synthetic://32x24?count=0&fps={FPS}"
    uris = [f"{uri}&as=cam-{n}" for n in range(MANY - 1)] + [f"{uri}&fail=2&as=flapping"]
    stop, statuses = threading.Event(), []

    @contextmanager
    def watcher(status):
        thread = threading.Thread(target=watch, args=(status,))
        thread.start()
        yield
        thread.join()

    def watch(status):
        end = time.monotonic() + WITHIN_S
        while not stop.is_set() and time.monotonic() < end:
            statuses.append(status())
            if enough(statuses[-1]):
                stop.set()
            stop.wait(0.2)
        stop.set()

    def enough(status):
        *steady, flapping = status.sources
        return (
            all(one.frames.inferred >= 3 * FPS for one in steady)
            and flapping.health.reconnects >= 2
        )

    with slow(0):
        report = balanced(run(bundle, uris, stop=stop, watcher=watcher))
    last = statuses[-1]
    assert enough(last), last
    *steady, flapping = last.sources
    assert flapping.name == "flapping"
    assert {one.health.state for one in steady} == {"live"}
    assert {one.health.attempts for one in steady} == {1}
    for one in steady:
        # "newer": a frame that the one before it had waited for too long; of these none at all
        assert sum(one.frames.dropped.values()) <= 0.01 * one.frames.captured + 1, one
    for feed in report.feeds[:-1]:
        assert "overrun" not in feed.counters.dropped


def test_the_identity_holds_at_every_moment_of_a_run_whose_camera_flaps(bundle):
    seen = []

    @contextmanager
    def watcher(status):
        stop = threading.Event()

        def watch():
            while not stop.wait(0.01):
                seen.append(status())

        thread = threading.Thread(target=watch)
        thread.start()
        yield
        stop.set()
        thread.join()

    with slow(0.005):
        report = balanced(
            run(
                bundle,
                "synthetic://32x24?count=0&fps=200&fail=40",
                policy=Policy(frames=60),
                watcher=watcher,
            )
        )
    assert report.counters.captured >= 60
    for status in seen:
        for frames in (status.frames, *(one.frames for one in status.sources)):
            assert frames.captured == frames.inferred + sum(frames.dropped.values())
    assert {one.health.state for status in seen for one in status.sources} >= {"live", "backoff"}
