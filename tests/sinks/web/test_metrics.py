from collections import defaultdict

import pytest
from prometheus_client.parser import text_string_to_metric_families

from edgeresnet.core.status import Frames, SinkStatus, SourceHealth, SourceStatus
from edgeresnet.sinks.web.metrics import metrics_text


def series(text):
    """Name to labels to value; a series that is there twice fails."""
    found = defaultdict(dict)
    for family in text_string_to_metric_families(text):
        for name, labels, value, *_ in family.samples:
            key = tuple(sorted(labels.items()))
            assert key not in found[name], f"{name}{key} twice"
            found[name][key] = value
    return found


def test_the_answer_is_what_prometheus_reads(served, unwell):
    answer = served.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    found = series(answer.body.decode())
    door = (("source", "door"),)
    for source in (door, (("source", "yard"),)):
        dropped = [
            value
            for labels, value in found["edgeresnet_frames_dropped_total"].items()
            if set(source) <= set(labels)
        ]
        captured = found["edgeresnet_frames_captured_total"][source]
        assert captured == found["edgeresnet_frames_inferred_total"][source] + sum(dropped)
        assert captured == 110
        states = [
            value
            for labels, value in found["edgeresnet_source_state"].items()
            if set(source) <= set(labels)
        ]
        assert sorted(states) == [0, 0, 0, 0, 1]
    assert found["edgeresnet_latency_seconds"][("quantile", "0.5"),] == 0.018
    assert found["edgeresnet_stage_median_seconds"][("stage", "infer"),] == 0.011
    assert found["edgeresnet_fps"][()] == 24.5
    assert found["edgeresnet_frames_in_flight"][door] == 2
    assert found["edgeresnet_resident_memory_bytes"][()] == 120e6
    assert found["edgeresnet_web_clients"][()] == 1
    assert found["edgeresnet_recompiled_total"][()] == 0
    mqtt = ("sink", "mqtt://broker/cats")
    assert found["edgeresnet_sink_state"][mqtt, ("state", "failing")] == 1
    assert found["edgeresnet_sink_dropped_total"][("reason", "spool_full"), mqtt] == 50
    parts = [found[f"edgeresnet_sink_{one}"][mqtt,] for one in ("delivered_total", "waiting")]
    assert found["edgeresnet_sink_accepted_total"][mqtt,] == sum(parts) + 50
    assert found["edgeresnet_sink_errors_total"][mqtt,] == 9
    ((labels, _),) = found["edgeresnet_build_info"].items()
    assert dict(labels)["model"] == "sha256:ab12"


def test_names_of_any_kind_make_valid_series_each_its_own(make_status):
    name = 'a"\\\n{}' + "x" * 100
    sources = [SourceStatus(name + str(i), SourceHealth("live"), Frames()) for i in range(3)]
    sinks = tuple(SinkStatus("jsonl:-") for _ in range(2))
    found = series(metrics_text(make_status(*sources, sinks=sinks), 0))
    assert len(found["edgeresnet_frames_captured_total"]) == 3
    assert len(found["edgeresnet_sink_accepted_total"]) == 2


def test_more_sources_and_reasons_make_no_more_series_and_the_sums_hold(make_status):
    dropped = {f"reason {i}": i for i in range(500)}
    frames = Frames(sum(dropped.values()) + 9, 9, dropped)
    sources = [SourceStatus(f"s{i}", SourceHealth("live"), frames) for i in range(100)]
    found = series(metrics_text(make_status(*sources), 0))
    assert len(found["edgeresnet_frames_captured_total"]) == 64
    lost = [
        value
        for labels, value in found["edgeresnet_frames_dropped_total"].items()
        if ("source", "s7") in labels
    ]
    assert len(lost) == 25
    assert sum(lost) == sum(dropped.values())


@pytest.mark.parametrize("missing", [{}, {"p50": None}])
def test_what_is_not_known_yet_is_left_out(make_status, missing):
    status = make_status()
    object.__setattr__(status, "latency_ms", missing)
    assert "quantile" not in metrics_text(status, 0)
