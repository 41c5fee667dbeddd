import io
import threading
import time
from contextlib import contextmanager

import pytest

from edgeresnet.cli import watching as module
from edgeresnet.cli.watching import line, watching
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

    def progress(self, done, live):
        self.made.append((done, live))

    def status(self, text):
        self.said.append(text)


@contextmanager
def watched(monkeypatch, terminal, found, *, quiet=False):
    class Stream(io.StringIO):
        def isatty(self):
            return terminal

    stream, told = Stream(), Told()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "140")
    for name in ("_REDRAW_S", "_LINE_S", "_TICK_S"):
        monkeypatch.setattr(module, name, 0.02)
    before = threading.active_count()
    with watching(lambda: found, told, lambda: "tabby 93%  ", quiet=quiet):
        time.sleep(0.3)
    assert threading.active_count() == before
    yield stream.getvalue(), told


def test_a_line_tells_figures_and_what_is_not_well():
    assert line(status(WELL)) == ("14.9 frames/s  p50 8.4 ms  p99 12.2 ms  9 inferred  1 dropped")
    assert line(status(WELL, LOST, sinks=[SINK])).endswith(
        "  |  source yard: backoff (refused)  |  sink mqtt://h/t: refused: nobody listens"
    )


def test_a_terminal_shows_every_source_and_sink_with_its_state(monkeypatch):
    with watched(monkeypatch, True, status(WELL, LOST, sinks=[SINK])) as (seen, _):
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
    with watched(monkeypatch, False, status(WELL)) as (seen, _):
        lines = seen.splitlines()
        assert len(lines) > 1
        assert set(lines) == {f"tabby 93%  {line(status(WELL))}"}


@pytest.mark.parametrize("terminal", [True, False])
def test_quiet_says_nothing_but_systemd_still_hears(monkeypatch, terminal):
    with watched(monkeypatch, terminal, status(WELL, LOST), quiet=True) as (seen, told):
        assert seen == ""
        assert set(told.made) == {(9, True)}
        assert set(told.said) == {line(status(WELL, LOST))}


def test_results_that_came_too_late_are_progress_too(monkeypatch):
    found = status(WELL, inferred=2, dropped={"newer": 3, "stale": 5})
    with watched(monkeypatch, False, found) as (_, told):
        assert set(told.made) == {(7, True)}


def test_a_frozen_picture_is_a_trouble_and_an_ended_file_is_none():
    frozen = SourceStatus("a", SourceHealth("live", frozen=True), Frames())
    ended = SourceStatus("b", SourceHealth("ended"), Frames())
    assert status(frozen, ended).troubles == ("source a: the picture is frozen",)
