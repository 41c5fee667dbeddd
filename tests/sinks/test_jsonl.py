import json

import numpy as np

from edgeresnet.core.frames import Frame
from edgeresnet.core.predictions import Classification, Label
from edgeresnet.sinks import open_sink
from edgeresnet.sinks.records import PredictionLine

CAT = Classification((Label(1, "Kätzchen", 0.5),))


def frame(index):
    return Frame(np.zeros((2, 3, 3), np.uint8), index, 0, "s")


def test_every_prediction_is_one_line_that_can_be_followed(tmp_path):
    path = tmp_path / "out.jsonl"
    with open_sink(f"jsonl:{path}", model="sha256:ab") as sink:
        for index in range(3):
            sink.put(frame(index), CAT)
            lines = path.read_text(encoding="utf-8").splitlines()
            assert [PredictionLine.model_validate_json(line).frame for line in lines] == list(
                range(index + 1)
            )
    assert "Kätzchen" in lines[0]


def test_a_second_run_adds_to_the_first(tmp_path):
    path = tmp_path / "out.jsonl"
    for index in (5, 6):
        with open_sink(f"jsonl:{path}", model="m") as sink:
            sink.put(frame(index), CAT)
    assert [json.loads(line)["frame"] for line in path.read_text().splitlines()] == [5, 6]


def test_the_standard_output_holds_nothing_but_lines(capsys):
    with open_sink("jsonl:-", model="m") as sink:
        sink.put(frame(0), CAT)
    assert json.loads(capsys.readouterr().out)["model"] == "m"
