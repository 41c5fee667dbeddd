import ctypes
import json

import numpy as np
import pytest

from edgeresnet.core.frames import Frame
from edgeresnet.core.predictions import Classification, Label
from edgeresnet.sinks import event
from edgeresnet.sinks.event import EventLine, Stamp, clock_synced

CAT = Classification((Label(1, "Kätzchen", 0.5),))


def frame(index=0, source="s"):
    return Frame(np.zeros((2, 3, 3), np.uint8), index, 1000 * index, source)


def test_an_event_is_the_prediction_line_and_what_tells_it_from_others():
    event_id, body = Stamp("sha256:ab").event(frame(7), CAT)
    read = EventLine.model_validate_json(body)
    assert (read.frame, read.model, read.event_id) == (7, "sha256:ab", event_id)
    assert read.labels[0].name == "Kätzchen"


def test_no_two_events_have_the_same_id():
    stamps = [Stamp("m"), Stamp("m")]
    ids = {stamp.event(frame(), CAT)[0] for stamp in stamps for _ in range(50)}
    assert len(ids) == 100


def test_the_machine_says_which_boot_it_is_and_whether_its_clock_is_right():
    line = json.loads(Stamp("m").event(frame(), CAT)[1])
    assert line["clock_synced"] in (True, False, None)
    assert line["boot_id"] is None or len(line["boot_id"]) == 36


@pytest.mark.parametrize(("kernel", "synced"), [(0, True), (5, False), (-1, None)])
def test_the_kernel_is_asked_about_the_clock(kernel, synced, monkeypatch):
    class Library:
        @staticmethod
        def adjtimex(buffer):
            assert not any(buffer.raw)  # anything else would set the clock
            return kernel

    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: Library)
    assert clock_synced() is synced


def test_where_there_is_no_such_kernel_nobody_knows(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: object())
    assert clock_synced() is None


def test_a_clock_that_is_set_while_running_is_seen(monkeypatch):
    answers = iter([False, True])
    monkeypatch.setattr(event, "clock_synced", lambda: next(answers))
    monkeypatch.setattr(event, "_CACHED_S", 0)
    stamp = Stamp("m")
    assert json.loads(stamp.event(frame(), CAT)[1])["clock_synced"] is True


def test_a_name_that_is_no_unicode_still_makes_an_event():
    _, body = Stamp("m").event(frame(source="bad\udc80"), CAT)
    assert json.loads(body)["source"] == "bad\udc80"
