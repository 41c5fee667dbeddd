import json
import time
from dataclasses import replace
from datetime import datetime, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edgeresnet.core.errors import UsageError
from edgeresnet.core.frames import Frame
from edgeresnet.core.predictions import Classification, Detections, Embedding, Label
from edgeresnet.core.schema import parse
from edgeresnet.sinks.records import PredictionLine, WallClock, record

PIXELS = np.zeros((6, 8, 3), np.uint8)
CLOCK = WallClock(lambda: 1_790_000_000_000_000_000)
CATS = Classification((Label(281, "tabby", 0.93), Label(282, "tiger cat", np.float32(0.07))))
BOXES = Detections(
    np.array([[1, 2, 3.125, 4]], np.float32),
    np.array([0.5], np.float32),
    np.array([7]),
    ("boat",),
)
VECTOR = Embedding(np.array([0.1, -2.5, 1 / 3], np.float32))


def line(prediction=CATS, **more):
    frame = Frame(PIXELS, 17, time.monotonic_ns() - 12_400_000, "camera-0", **more)
    return json.loads(json.dumps(record(frame, prediction, "sha256:ab", CLOCK)))


def test_a_classification_is_the_line_that_was_promised():
    found = line()
    assert list(found) == [
        *("schema", "source", "frame", "captured_at", "captured_ns", "age_ms", "size", "model"),
        "labels",
    ]
    assert (found["schema"], found["source"], found["frame"]) == (1, "camera-0", 17)
    assert (found["size"], found["model"]) == ([8, 6], "sha256:ab")
    assert found["age_ms"] >= 12.4
    assert found["labels"] == [
        {"class_id": 281, "name": "tabby", "score": 0.93},
        {"class_id": 282, "name": "tiger cat", "score": 0.07},
    ]


def test_detections_are_boxes():
    found = line(BOXES)
    assert "labels" not in found
    assert found["boxes"] == [
        {"class_id": 7, "name": "boat", "score": 0.5, "xyxy": [1, 2, 3.12, 4]}
    ]


def test_a_tracked_box_carries_its_track():
    (box,) = line(replace(BOXES, track_ids=np.array([12])))["boxes"]
    assert box["track_id"] == 12
    assert list(box) == ["class_id", "name", "score", "xyxy", "track_id"]


def test_an_embedding_is_its_numbers():
    found = line(VECTOR)
    assert found["embedding"] == [0.1, -2.5, 0.333333]
    assert "labels" not in found
    assert "boxes" not in found


def test_a_frame_with_a_file_carries_its_name():
    assert line(name="a/b.jpg")["name"] == "a/b.jpg"
    assert "name" not in line()


def test_wall_time_is_utc_with_milliseconds():
    assert WallClock(lambda: 0).utc(1_234_567_890) == "1970-01-01T00:00:01.234Z"
    assert WallClock(lambda: 10**18).utc(5_999_999) == "2001-09-09T01:46:40.005Z"


def test_a_clock_taken_now_is_right_now():
    shown = datetime.fromisoformat(WallClock.now().utc(time.monotonic_ns())[:-1] + "+00:00")
    assert abs((datetime.now(timezone.utc) - shown).total_seconds()) < 60


def test_a_clock_that_is_set_while_running_is_right_from_then_on():
    offsets = iter([0, 0, 10**18, 10**18, 9 * 10**17])
    clock = WallClock(lambda: next(offsets))
    years = [clock.utc(captured_ns)[:4] for captured_ns in (0, 1, 2, 3)]
    assert years == ["1970", "2001", "2001", "1998"]


def test_the_error_of_a_measure_does_not_shift_the_lines():
    offsets = iter([10**18, 10**18 + 4_000_000, 10**18 - 4_000_000])
    clock = WallClock(lambda: next(offsets))
    assert [clock.utc(0)[19:], clock.utc(1_000_000)[19:]] == [".000Z", ".001Z"]


def test_one_offset_serves_every_line_so_that_intervals_are_true():
    assert CLOCK.utc(2_000_000_000)[17:] == "22.000Z"
    assert CLOCK.utc(3_500_000_000)[17:] == "23.500Z"


@pytest.mark.parametrize(
    "prediction", [CATS, BOXES, VECTOR, replace(BOXES, track_ids=np.array([3]))]
)
def test_the_schema_takes_what_is_written(prediction):
    text = json.dumps(line(prediction, name="x.jpg"))
    read = PredictionLine.model_validate_json(text)
    assert read.schema_version == 1
    given = {name for name in ("labels", "boxes", "embedding") if getattr(read, name) is not None}
    kinds = {Classification: "labels", Detections: "boxes", Embedding: "embedding"}
    assert given == {kinds[type(prediction)]}
    assert read.captured_at.tzinfo is not None


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2},
        {"frame": -1},
        {"extra": 1},
        {"captured_at": "2026-01-01T00:00:00"},
        {"labels": None},
        {"boxes": []},
        {"embedding": [0.5]},
        {"labels": [{"class_id": 1, "name": "x", "score": 1.5}]},
        {"size": [1]},
    ],
)
def test_the_schema_refuses_anything_else(change):
    with pytest.raises(ValidationError):
        PredictionLine.model_validate({**line(), **change})


def test_a_line_of_a_newer_schema_is_refused_by_name():
    with pytest.raises(UsageError, match="line: schema: "):
        parse(PredictionLine, {**line(), "schema": 2}, "line", UsageError)


@given(
    labels=st.lists(
        st.tuples(st.integers(0, 10**6), st.text(max_size=40), st.floats(0, 1)), min_size=1
    ),
    name=st.text(max_size=40),
    captured_ns=st.integers(0, 10**18),
)
def test_every_prediction_makes_a_line_that_the_schema_takes(labels, name, captured_ns):
    prediction = Classification(tuple(Label(*label) for label in labels))
    frame = Frame(PIXELS, 0, captured_ns, "s", name)
    written = record(frame, prediction, "m", CLOCK)
    read = PredictionLine.model_validate(json.loads(json.dumps(written)))
    assert [entry.name for entry in read.labels] == [label.name for label in prediction.labels]
