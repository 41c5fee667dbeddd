import json

import pytest

from edgeresnet.core.predictions import Classification, Label
from edgeresnet.sinks.records import PredictionLine
from edgeresnet.sinks.web import site

HOSTILE = "<script>alert(1)</script>\x7f\r\nX-Evil: 1\u2028é"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html"),
        ("/page.js", "text/javascript"),
        ("/tiles.js", "text/javascript"),
        ("/charts.js", "text/javascript"),
        ("/page.css", "text/css"),
        ("/icon.svg", "image/svg+xml"),
    ],
)
def test_the_page_and_its_parts_are_served_from_here_alone(served, path, kind):
    answer = served.get(path)
    assert answer.status == 200
    assert answer.headers.get_content_type() == kind
    assert b"://" not in answer.body.replace(b"http://www.w3.org/2000/svg", b"")
    head = served.get(path, method="HEAD")
    assert head.status == 200
    assert head.body == b""


def test_the_status_is_told_with_its_troubles(served, unwell):
    told = served.get("/api/status").json
    frames = told["frames"]
    assert frames["captured"] == frames["inferred"] + sum(frames["dropped"].values())
    assert [one["name"] for one in told["sources"]] == ["door", "yard"]
    assert told["troubles"] == [
        "source yard: stalled (stalled)",
        "sink mqtt://broker/cats: connection refused",
    ]


def test_the_newest_prediction_of_each_source_is_told_as_a_line(served, boats):
    served.put(1)
    served.put(2)
    served.put(7, "yard", prediction=boats)
    lines = served.get("/api/predictions").json["predictions"]
    parsed = [PredictionLine.model_validate_json(json.dumps(line)) for line in lines]
    assert [(line.source, line.frame) for line in parsed] == [("door", 2), ("yard", 7)]
    assert parsed[0].labels[0].name == "tabby"
    assert parsed[1].boxes[0].xyxy == (1, 2, 30, 40)
    assert parsed[0].model == "sha256:ab12"


def test_a_run_that_fails_is_still_alive(served, unwell):
    assert served.get("/livez").status == 200
    health = served.get("/healthz")
    assert health.status == 200
    assert health.json["status"] == "degraded"
    assert len(health.json["reasons"]) == 2


def test_a_run_that_is_well_says_so(served):
    assert served.get("/healthz").json == {"status": "ok", "reasons": []}
    assert served.get("/readyz").json == {"ready": True, "reasons": []}


@pytest.mark.parametrize(
    ("states", "ready"),
    [
        (["connecting", "backoff"], False),
        (["stalled", "live"], True),
        (["ended", "ended"], True),
    ],
)
def test_a_run_is_ready_once_frames_come(serve, run, make_status, make_source, states, ready):
    run.status = make_status(*(make_source(f"s{i}", state) for i, state in enumerate(states)))
    answer = serve().get("/readyz")
    assert answer.status == (200 if ready else 503)
    assert answer.json["ready"] is ready
    assert bool(answer.json["reasons"]) is not ready


@pytest.mark.parametrize("status", [None, "raises"])
def test_without_a_status_there_are_still_pictures(serve, run, status):
    run.status = RuntimeError("no")
    served = serve(status=run if status else None)
    served.put()
    assert served.get("/api/status").status == 503
    assert served.get("/readyz").status == 503
    assert served.get("/healthz").json["status"] == "degraded"
    assert b"edgeresnet_build_info" in served.get("/metrics").body
    assert served.get("/frame/door.jpg").status == 200


def test_a_figure_that_is_no_number_is_null(serve, run, make_status):
    run.status = make_status()
    object.__setattr__(run.status, "fps", float("nan"))
    assert serve().get("/api/status").json["fps"] is None


def test_hostile_names_stay_text(serve, run, make_status, make_source):
    run.status = make_status(make_source(HOSTILE))
    served = serve()
    served.put(prediction=Classification((Label(0, HOSTILE, 0.9),)))
    answer = served.get("/frame/door.jpg")
    assert json.loads(answer.headers["X-Prediction"])["labels"] == [[HOSTILE, 0.9]]
    assert answer.headers["X-Evil"] is None
    assert served.get("/api/predictions").json["predictions"][0]["labels"][0]["name"] == HOSTILE
    assert served.get("/api/status").json["sources"][0]["name"] == HOSTILE
    assert served.get("/metrics").status == 200


def test_a_fault_of_ours_is_said_once_and_hurts_nobody_else(served, monkeypatch, caplog):
    def broken(*_arguments):
        raise ValueError("broken")

    monkeypatch.setattr(site, "record", broken)
    served.put()
    answer = served.get("/api/predictions")
    assert (answer.status, answer.body) == (500, b"failed\n")
    assert "broken" in caplog.text
    assert served.get("/api/status").status == 200


def test_more_connections_than_places_are_refused(served, monkeypatch):
    monkeypatch.setattr(site, "MOST_CONNECTIONS", 3)
    others = [served.connect() for _ in range(3)]
    answer = served.get("/livez")
    for other in others:
        other.close()
    assert answer.status == 503
    assert answer.headers["Connection"] == "close"


def test_who_asks_often_costs_little(served, run):
    for _ in range(30):
        assert served.get("/metrics").status == 200
        assert served.get("/api/status").status == 200
    assert run.asked < 15  # five a second, and this machine may be slow
