import csv
from dataclasses import replace

import numpy as np
import pytest

from edgeresnet.core.errors import UsageError
from edgeresnet.core.frames import Frame
from edgeresnet.core.predictions import Classification, Detections, Embedding, Label
from edgeresnet.sinks import open_sink
from edgeresnet.sinks.csv import HEADER

CATS = Classification((Label(1, 'cat, "tabby"', 0.75), Label(2, "lynx", 0.25)))
BOXES = Detections(
    np.array([[0, 1, 2, 3], [4, 5, 6, 7]], np.float32),
    np.array([0.5, 0.25], np.float32),
    np.array([7, 8]),
    ("boat", "buoy"),
)


def write(path, *predictions):
    with open_sink(f"csv:{path}", model="m") as sink:
        for index, prediction in enumerate(predictions):
            pixels = np.zeros((2, 3, 3), np.uint8)
            sink.put(Frame(pixels, index, 0, "s", f"{index}.jpg"), prediction)


def read(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_label_is_a_row(tmp_path):
    write(tmp_path / "out.csv", CATS)
    rows = read(tmp_path / "out.csv")
    assert [(row["rank"], row["class_id"], row["name"], row["score"]) for row in rows] == [
        ("1", "1", 'cat, "tabby"', "0.75"),
        ("2", "2", "lynx", "0.25"),
    ]
    assert {(row["source"], row["frame"], row["file"]) for row in rows} == {("s", "0", "0.jpg")}
    assert {row["left"] for row in rows} == {""}


def test_every_box_is_a_row_with_its_sides(tmp_path):
    write(tmp_path / "out.csv", BOXES)
    sides = [
        [row[side] for side in ("left", "top", "right", "bottom")]
        for row in read(tmp_path / "out.csv")
    ]
    assert sides == [["0.0", "1.0", "2.0", "3.0"], ["4.0", "5.0", "6.0", "7.0"]]


def test_a_tracked_box_has_its_track_and_a_label_none(tmp_path):
    write(tmp_path / "out.csv", replace(BOXES, track_ids=np.array([-1, 12])), CATS)
    assert [row["track_id"] for row in read(tmp_path / "out.csv")] == ["", "12", "", ""]


def test_a_file_that_was_begun_without_tracks_goes_on_without(tmp_path):
    before = HEADER.removesuffix(",track_id")
    (tmp_path / "out.csv").write_text(before + "\n")
    write(tmp_path / "out.csv", replace(BOXES, track_ids=np.array([1, 2])))
    assert (tmp_path / "out.csv").read_text().startswith(before + "\ns,0,")
    assert [row["bottom"] for row in read(tmp_path / "out.csv")] == ["3.0", "7.0"]


def test_an_embedding_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no columns for an embedding"):
        write(tmp_path / "out.csv", Embedding(np.ones(3, np.float32)))


def test_a_second_run_adds_rows_without_a_second_header(tmp_path):
    write(tmp_path / "out.csv", CATS)
    write(tmp_path / "out.csv", CATS)
    assert len(read(tmp_path / "out.csv")) == 4
    assert (tmp_path / "out.csv").read_text().count(HEADER) == 1


def test_a_file_with_other_columns_is_left_as_it_is(tmp_path):
    (tmp_path / "out.csv").write_text("date,weather\n2026-01-01,rain")
    with pytest.raises(UsageError, match="other columns"):
        write(tmp_path / "out.csv", CATS)
    assert (tmp_path / "out.csv").read_text() == "date,weather\n2026-01-01,rain"


def test_a_frame_without_boxes_has_no_row(tmp_path):
    none = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, int), ())
    write(tmp_path / "out.csv", none)
    assert (tmp_path / "out.csv").read_text() == HEADER + "\n"
