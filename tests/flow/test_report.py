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


def report_of(moments_s):
    report = RunReport(model="sha256:ab")
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


def test_a_run_that_is_hardly_longer_than_half_a_second_counts_as_a_whole():
    assert report_of([0, 0.1, 0.2, 0.3, 0.4, 0.51, 0.6]).fps == pytest.approx(10)


@pytest.mark.parametrize("moments", [[], [1.0], [1.0, 1.0]])
def test_too_few_results_have_no_rate(moments):
    assert report_of(moments).fps == 0


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
