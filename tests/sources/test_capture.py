"""What a capture child can do to its parent, and how it is found again."""

import os
import signal
import threading
import time

import pytest

from edgeresnet.sources import capture, open_source
from edgeresnet.sources.patience import Patience

QUICK = Patience(backoff_scale=0.01)
LIVE = "synthetic://64x48?fps=400&count=0"


def test_children_that_are_killed_again_and_again_are_replaced():
    stop, killed = threading.Event(), 0
    with open_source(LIVE, stop=stop, patience=QUICK) as source:
        for count, frame in enumerate(source):
            assert frame.index == count
            if count % 15 == 14:
                os.kill(source.child_pid, signal.SIGKILL)
                killed += 1
            if killed == 8:
                stop.set()
        assert source.health().reconnects >= 6
        assert source.child_pid is None


def test_a_child_that_cannot_be_started_is_tried_again(monkeypatch, caplog):
    real, failures = capture.Child, iter([True] * 3)

    def child(order):
        if next(failures, False):
            raise OSError(12, "Cannot allocate memory")
        return real(order)

    monkeypatch.setattr(capture, "Child", child)
    stop = threading.Event()
    with open_source(LIVE, stop=stop, patience=QUICK) as source:
        for _ in source:
            stop.set()
        assert source.health().attempts == 3
    assert "Cannot allocate memory" in caplog.text


def test_what_lies_in_the_users_folder_is_not_imported(tmp_path, monkeypatch):
    (tmp_path / "random.py").write_text("raise SystemExit('mine')")
    (tmp_path / "json.py").write_text("raise SystemExit('mine')")
    monkeypatch.chdir(tmp_path)
    with open_source("synthetic://64x48?fps=400&count=3", patience=QUICK) as source:
        assert len(list(source)) == 3


def test_the_last_words_of_a_child_are_told(monkeypatch, caplog):
    monkeypatch.setattr("edgeresnet.sources.spawned._START", "raise ValueError('no luck')")
    stop = threading.Event()
    threading.Timer(1.5, stop.set).start()
    with open_source(LIVE, stop=stop, patience=QUICK) as source:
        assert list(source) == []
    assert "the capture process ended: exit 1: ValueError: no luck" in caplog.text


def test_a_stream_of_nothing_but_losses_is_stalled(monkeypatch):
    """Every picture is damaged: something is said all the time, and there is no frame."""
    start = (
        "import sys; sys.path += sys.argv[3:]\n"
        """
import edgeresnet.sources.child as child, time
from edgeresnet.sources.grab import Opened
from edgeresnet.sources.shots import Lost

def connect(order):
    yield Opened(30.0)
    while True:
        yield Lost("corrupt")
        time.sleep(0.01)

import types, sys
module = types.ModuleType("bad")
module.connect = connect
sys.modules["bad"] = module
child.GRABBERS = {"drawn": "bad"}
child.main()
"""
    )
    monkeypatch.setattr("edgeresnet.sources.spawned._START", start)
    stop, seen = threading.Event(), []
    patience = Patience(stall_s=0.4, backoff_scale=0.01)
    with open_source(LIVE, stop=stop, patience=patience) as source:
        thread = threading.Thread(target=lambda: seen.extend(source))
        thread.start()
        end = time.monotonic() + 20
        while source.health().attempts < 3:
            assert time.monotonic() < end
            time.sleep(0.02)
        stop.set()
        thread.join()
        assert seen == []
        assert source.dropped["corrupt"] > 10


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("rtsp://10.0.0.5:8554/live/a", "10.0.0.5-8554-live-a"),
        ("rtsp://h/user=admin&password=hunter22&channel=1.sdp", "h"),
        ("http://u:hunter22@h/v.cgi?pwd=hunter22", "h-v.cgi"),
        ("rtsp://h/a/password=hunter22/b", "h-a"),
    ],
)
def test_a_name_holds_no_password(url, name):
    with open_source(url) as source:
        assert source.name == name
        assert "hunter22" not in repr(source.health())
