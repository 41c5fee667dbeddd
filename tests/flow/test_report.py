import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeresnet.core.frames import Frame
from edgeresnet.core.predictions import Classification, Label
from edgeresnet.flow.report import STAGES, RunReport
from edgeresnet.flow.stream import Result
from edgeresnet.testing import grey

LABEL = Classification((Label(0, "x", 1.0),))
START_NS = 10**12


def result(at_s, *, age_ms=8.0, steps_ms=(1.0, 2.0, 3.0, 0.5)):
    done_ns = START_NS + int(at_s * 1e9)
    frame = Frame(grey(0), 0, done_ns - int(age_ms * 1e6))
    return Result(frame, LABEL, done_ns, *(int(ms * 1e6) for ms in steps_ms))


def report_of(moments_s, at_once=1):
    report = RunReport(model="sha256:ab", at_once=at_once)
    for moment in moments_s:
        report.counters.capture()
        report.counters.infer()
        report.add(result(moment))
    return report


@given(rate=st.integers(5, 400), seconds=st.integers(1, 10))
def test_an_even_stream_is_told_at_its_rate(rate, seconds):
    report = report_of(i / rate for i in range(rate * seconds + 1))
    assert report.fps == pytest.approx(rate, rel=0.01)


def test_a_slow_first_half_second_does_not_count_in_a_longer_run():
    report = report_of([0, 0.2, 0.4, *(0.6 + i / 100 for i in range(101))])
    assert report.fps == pytest.approx(100, rel=0.01)


@given(
    at_once=st.integers(1, 8),
    rounds=st.integers(2, 9),
    each_s=st.floats(0.01, 3),
    spread=st.floats(0, 0.9),
)
def test_frames_that_are_inferred_together_are_no_rate(at_once, rounds, each_s, spread):
    """Whether they come together or one after the other."""
    moments = [
        each_s * (round_ + spread * one / at_once)
        for round_ in range(rounds)
        for one in range(at_once)
    ]
    assert report_of(moments, at_once).fps == pytest.approx(at_once / each_s, rel=0.01)


def test_a_run_that_is_hardly_longer_than_half_a_second_counts_as_a_whole():
    assert report_of([0, 0.1, 0.2, 0.3, 0.4, 0.51, 0.6]).fps == pytest.approx(10)


def test_few_results_are_told_from_the_first_capture_on():
    assert report_of([]).fps == 0
    assert report_of([1.0]).fps == 0  # how long a frame takes is no rate
    assert report_of([1.0, 1.5, 1.5], at_once=2).fps == pytest.approx(3 / 0.508)


def test_times_are_told_in_milliseconds_to_one_percent():
    report = report_of([0, 1])
    data = report.as_json()
    assert data["latency_ms"]["max"] == pytest.approx(8)
    assert data["latency_ms"]["p50"] == pytest.approx(8, rel=0.01)
    assert tuple(data["stages_ms"]) == STAGES
    assert list(data["stages_ms"].values()) == pytest.approx([1, 2, 3, 0.5], rel=0.01)


def test_the_report_has_the_fields_that_scripts_rely_on_and_is_json():
    report = report_of([0, 1, 2])
    report.counters.settle({"corrupt": 2})
    data = json.loads(json.dumps(report.as_json()))
    assert set(data) == {
        "model",
        "frames",
        "fps",
        "latency_ms",
        "stages_ms",
        "recompiled",
        "rss_mb",
        "fingerprint",
    }
    assert data["frames"] == {"captured": 5, "inferred": 3, "dropped": {"corrupt": 2}}
    assert data["fps"] == 1
    assert data["rss_mb"] > 10  # Python alone takes more
    assert data["fingerprint"]["cores"] >= 1
