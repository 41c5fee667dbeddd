import json

import pytest

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


def test_the_rate_is_of_all_that_was_added():
    assert report_of([i / 20 for i in range(60)]).fps == pytest.approx(20)


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
