"""What every sink owes to those who write to it."""

from pathlib import Path

import numpy as np
import pytest

from edgeresnet.core.errors import DeviceError
from edgeresnet.core.frames import Frame
from edgeresnet.core.predictions import Classification, Detections, Label
from edgeresnet.sinks import SCHEMES, open_sink

PLACES = {
    "csv": "csv:{}/out.csv",
    "images": "images:{}/out",
    "jsonl": "jsonl:{}/out.jsonl",
    "mqtt": "mqtt://127.0.0.1:1/topic",  # nobody listens: what is put waits in a file
    "mqtts": "mqtts://127.0.0.1:1/topic",
    "video": "video:{}/out.mp4",
    "web": "web:0",
    "webhook": "webhook:http://127.0.0.1:1/",
}
LABELS = Classification((Label(281, "tabby", 0.9), Label(282, "tiger cat", 0.1)))
BOXES = Detections(
    np.array([[1, 2, 30, 40]], np.float32), np.array([0.5], np.float32), np.array([7]), ("boat",)
)
NO_BOXES = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, int), ())


@pytest.fixture(params=SCHEMES)
def uri(request, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return PLACES[request.param].format(tmp_path)


def frame(index=0, name=""):
    return Frame(np.full((48, 64, 3), 9, np.uint8), index, 1000 * index, "s", name)


def something_written(folder):
    return any(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_every_scheme_is_held_to_this_contract():
    assert set(SCHEMES) == set(PLACES)


@pytest.mark.parametrize("prediction", [LABELS, BOXES, NO_BOXES])
def test_a_sink_takes_every_kind_of_prediction(uri, prediction, tmp_path):
    with open_sink(uri, model="sha256:ab", fps=25) as sink:
        for index in range(3):
            sink.put(frame(index), prediction)
    assert uri == "web:0" or something_written(tmp_path)


def test_a_sink_leaves_the_frame_as_it_was(uri):
    given = frame()
    with open_sink(uri, model="m") as sink:
        sink.put(given, BOXES)
        sink.put(given, LABELS)
    assert given.pixels.min() == given.pixels.max() == 9


def test_a_sink_takes_pictures_with_names_and_of_other_sizes(uri):
    with open_sink(uri, model="m") as sink:
        sink.put(frame(0, "a/one.jpg"), LABELS)
        sink.put(Frame(np.zeros((30, 90, 3), np.uint8), 1, 0, "s", "a/two.jpg"), LABELS)


def test_closing_twice_is_safe(uri):
    with open_sink(uri, model="m") as sink:
        sink.put(frame(), LABELS)
        sink.close()
        sink.close()


def test_a_sink_that_got_nothing_closes_well(uri):
    with open_sink(uri, model="m"):
        pass


def test_what_was_written_survives_a_failure_elsewhere(uri, tmp_path):
    def run():
        with open_sink(uri, model="m") as sink:
            sink.put(frame(), LABELS)
            raise DeviceError("camera went away")

    with pytest.raises(DeviceError, match="camera"):
        run()
    assert uri == "web:0" or something_written(tmp_path)


def test_leaving_gives_back_what_was_opened(uri):
    def held():
        return len(list(Path("/proc/self/fd").iterdir()))

    before = held()
    with open_sink(uri, model="m", force=True) as sink:
        sink.put(frame(), LABELS)
    assert held() == before
