import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeresnet.core.frames import Frame
from edgeresnet.core.predictions import Classification, Label
from edgeresnet.core.status import Frames, SinkStatus, SourceHealth
from edgeresnet.flow.counters import Counters
from edgeresnet.flow.intake import Feed
from edgeresnet.flow.report import RunReport
from edgeresnet.flow.stream import Result
from edgeresnet.flow.watch import Watch
from edgeresnet.metrics.timing import Durations
from edgeresnet.testing import ListSource, grey

LABEL = Classification((Label(0, "x", 1.0),))
MS = 1_000_000


def report_of(*sources):
    report = RunReport(model="sha256:ab")
    report.feeds = tuple(Feed(source, Counters(total=report.counters)) for source in sources)
    return report


def infer(report, feed, age_ms=8):
    feed.counters.capture()
    feed.counters.infer()
    now = time.monotonic_ns()
    frame = Frame(grey(0), 0, now - age_ms * MS, feed.name)
    report.add(Result(frame, LABEL, now, MS, MS, MS, MS))


def exact(frames):
    return frames.captured == frames.inferred + sum(frames.dropped.values())


def test_the_identity_holds_at_every_moment_for_each_source_and_the_whole():
    report = report_of(ListSource([], name="a"), ListSource([], name="b"))
    watch, over = Watch(report), threading.Event()

    def work(feed):
        while not over.is_set():
            feed.counters.capture()
            feed.counters.drop("newer")
            infer(report, feed)
            feed.source.dropped["corrupt"] = feed.source.dropped.get("corrupt", 0) + 1

    threads = [threading.Thread(target=work, args=(feed,)) for feed in report.feeds]
    for thread in threads:
        thread.start()
    for _ in range(60):
        status = watch.status()
        assert exact(status.frames)
        assert all(exact(source.frames) for source in status.sources)
        assert status.frames.captured == sum(s.frames.captured for s in status.sources)
        assert all(s.frames.in_flight >= 0 for s in status.sources)
    over.set()
    for thread in threads:
        thread.join()


def test_a_frame_under_way_is_in_flight_and_not_yet_captured():
    report = report_of(ListSource([], name="a"))
    report.feeds[0].counters.capture()
    (source,) = Watch(report).status().sources
    assert source.frames == Frames(0, 0, {}, 1)


def test_latency_and_rates_are_of_the_last_seconds(monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr("edgeresnet.flow.watch.time.monotonic", lambda: clock[0])
    report = report_of(ListSource([], name="a"))
    watch = Watch(report)
    for second in range(30):
        for _ in range(20 if second < 15 else 10):
            infer(report, report.feeds[0], age_ms=100 if second < 15 else 5)
        clock[0] += 1
        status = watch.status()
        if second == 10:
            assert status.latency_ms["p50"] == pytest.approx(100, rel=0.02)
            assert status.fps == pytest.approx(20)
    assert status.latency_ms["max"] == pytest.approx(5, rel=0.1)
    assert (status.fps, status.sources[0].fps) == (pytest.approx(10), pytest.approx(10))
    assert report.latency.percentile(90) > 50  # the report is of the whole run
    assert status.uptime_s == 30


def test_it_tells_sizes_and_what_sources_and_sinks_say_of_themselves():
    class Camera(ListSource):
        def health(self):
            return SourceHealth("backoff", "refused", "cam: refused", 3.0, 4, 1)

    class Sink:
        def status(self):
            return SinkStatus("mqtt://h/t", "failing", "refused")

    report = report_of(Camera([], name="cam"), ListSource([], name="file"))
    report.sinks = (Sink(),)
    infer(report, report.feeds[1])
    status = Watch(report).status()
    assert [source.health.state for source in status.sources] == ["backoff", "live"]
    assert [source.size for source in status.sources] == [None, (8, 6)]
    assert status.troubles == ("source cam: backoff (refused)", "sink mqtt://h/t: refused")
    for feed in report.feeds:
        feed.counters.settle({})
    assert Watch(report).status().sources[1].health.state == "ended"
    assert status.as_json()["frames"] == {
        "captured": 1,
        "inferred": 1,
        "dropped": {},
        "in_flight": 0,
    }


times = st.lists(st.floats(0.01, 1000), max_size=50)


@given(before=times, after=times)
def test_what_came_since_is_what_was_added(before, after):
    whole, part = Durations(), Durations()
    for ms in before:
        whole.add(ms)
    then = whole.copy()
    for ms in after:
        whole.add(ms)
        part.add(ms)
    found = whole.since(then)
    assert found.counts == part.counts
    assert found.total == part.total
    assert found.max_ms == pytest.approx(part.max_ms, rel=0.011)
    assert then.total == len(before)
