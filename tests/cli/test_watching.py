import io
import threading
import time
from contextlib import contextmanager
from dataclasses import replace

import pytest

from edgeresnet.cli import watching as module
from edgeresnet.cli.watching import Systemd, line, watching
from edgeresnet.core.status import Frames, RunStatus, SinkStatus, SourceHealth, SourceStatus

LATENCY = {"p50": 8.4, "p90": 9.0, "p99": 12.25, "max": 20.0}
WELL = SourceStatus("door", SourceHealth("live"), Frames(10, 9, {"newer": 1}), 14.9, (640, 480))
LOST = SourceStatus(
    "yard", SourceHealth("backoff", "refused", "rtsp://cam: the server refuses connections"),
    Frames(),
)  # fmt: skip
SINK = SinkStatus("mqtt://h/t", "failing", "refused: nobody listens", 9, 2, 7)


def status(*sources, sinks=(), inferred=9, dropped=None):
    frames = Frames(10, inferred, dropped or {"newer": 1})
    return RunStatus("sha256:ab", 5.0, 14.9, LATENCY, {}, frames, sources, tuple(sinks))


class Told:
    """Notes what systemd would hear."""

    def __init__(self):
        self.made, self.said = [], []

    def ready(self):
        self.said.append("READY")

    def reloading(self):
        self.said.append("RELOADING")

    def stopping(self):
        self.said.append("STOPPING")

    def progress(self, done, *, waiting):
        self.made.append((done, waiting))

    def status(self, text):
        self.said.append(text)


@contextmanager
def watched(monkeypatch, terminal, found, *, quiet=False):
    class Stream(io.StringIO):
        def isatty(self):
            return terminal

    stream = Stream()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "140")
    for name in ("_REDRAW_S", "_LINE_S"):
        monkeypatch.setattr(module, name, 0.02)
    before = threading.active_count()
    with watching(lambda: found, lambda: "tabby 93%  ", quiet=quiet):
        time.sleep(0.3)
    assert threading.active_count() == before
    yield stream.getvalue()


def test_a_line_tells_figures_and_what_is_not_well():
    assert line(status(WELL)) == ("14.9 frames/s  p50 8.4 ms  p99 12.2 ms  9 inferred  1 dropped")
    assert line(status(WELL, LOST, sinks=[SINK])).endswith(
        "  |  source yard: backoff (refused)  |  sink mqtt://h/t: refused: nobody listens"
    )


def test_a_terminal_shows_every_source_and_sink_with_its_state(monkeypatch):
    with watched(monkeypatch, True, status(WELL, LOST, sinks=[SINK])) as seen:
        for text in (
            "tabby 93%",
            "door",
            "live",
            "640x480",
            "yard",
            "backoff",
            "refuses",
            "failing",
        ):
            assert text in seen
        assert "7 waiting" in seen


def test_elsewhere_it_is_lines(monkeypatch):
    with watched(monkeypatch, False, status(WELL)) as seen:
        lines = seen.splitlines()
        assert len(lines) > 1
        assert set(lines) == {f"tabby 93%  {line(status(WELL))}"}


@pytest.mark.parametrize("terminal", [True, False])
def test_quiet_says_nothing(monkeypatch, terminal):
    with watched(monkeypatch, terminal, status(WELL, LOST), quiet=True) as seen:
        assert seen == ""


def test_systemd_hears_of_every_run_and_of_the_time_between_them():
    told = Told()
    teller = Systemd(told)
    teller.tell()  # the engine is being built
    found = status(WELL, LOST, inferred=2, dropped={"newer": 3, "stale": 5})
    teller.began(lambda: found)
    teller.tell()
    teller.ends(again=True)
    teller.tell()
    teller.began(lambda: replace(found, frames=replace(found.frames, in_flight=2)))
    teller.tell()
    teller.ends(again=False)
    assert told.made == [(0, False), (7, False), (0, False), (7, True)]
    assert told.said == ["READY", line(found), "RELOADING", "READY", line(found), "STOPPING"]


def test_a_frozen_picture_is_a_trouble_and_an_ended_file_is_none():
    frozen = SourceStatus("a", SourceHealth("live", frozen=True), Frames())
    ended = SourceStatus("b", SourceHealth("ended"), Frames())
    assert status(frozen, ended).troubles == ("source a: the picture is frozen",)
