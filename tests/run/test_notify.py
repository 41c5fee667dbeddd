"""What systemd would receive, on a socket like its own."""

import os
import socket
import threading
import time
from contextlib import closing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeresnet.core.secrets import Secret
from edgeresnet.run import notify
from edgeresnet.run.notify import Notifier

HALF_S = 15.0


@pytest.fixture(params=["path", "abstract"])
def systemd(request, tmp_path, monkeypatch):
    """Gives what was received since it was last asked."""
    path = f"{tmp_path}/notify"
    abstract = request.param == "abstract"
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as link:
        link.bind(f"\0{path}" if abstract else path)
        link.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{path}" if abstract else path)
        monkeypatch.setenv("WATCHDOG_USEC", str(int(2e6 * HALF_S)))
        monkeypatch.delenv("WATCHDOG_PID", raising=False)

        def received():
            messages = []
            while True:
                try:
                    messages.append(link.recv(1 << 16).decode())
                except BlockingIOError:
                    return messages

        yield received


@pytest.fixture
def clock(monkeypatch):
    """A monotonic clock to be turned by hand, in seconds."""
    now = [100.0]
    monkeypatch.setattr(notify.time, "monotonic", lambda: now[0])
    return now


def test_ready_stopping_and_status(systemd):
    notifier = Notifier()
    notifier.ready()
    notifier.status("30.0 frames/s")
    notifier.stopping()
    assert systemd() == ["READY=1", "STATUS=30.0 frames/s", "STOPPING=1"]


def test_reloading_says_when(systemd):
    before = time.monotonic_ns() // 1000
    Notifier().reloading()
    (message,) = systemd()
    first, second = message.split("\n")
    assert first == "RELOADING=1"
    assert before <= int(second.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text(max_size=5000) | st.text("ü\n=\U0001f4f7", min_size=900, max_size=4000))
def test_a_status_is_one_line_that_systemd_takes(systemd, text):
    Notifier().status(text)
    (message,) = systemd()
    assert message.startswith("STATUS=")
    assert len(message.splitlines()) == 1
    assert len(message.encode()) < 4096


def test_a_status_shows_no_secret(systemd):
    secret = Secret("geheim-8341")
    Notifier().status(f"source rtsp://admin:{secret.reveal()}@cam: refused")
    assert systemd() == ["STATUS=source rtsp://***@cam: refused"]


def test_the_watchdog_is_fed_while_frames_are_inferred(systemd, clock):
    notifier = Notifier()
    fed = []
    for second in range(61):
        notifier.progress(second * 10, waiting=True)
        fed += [second] if systemd() == ["WATCHDOG=1"] else []
        clock[0] += 1
    assert fed == [0, 15, 30, 45, 60]


def test_the_watchdog_is_not_fed_when_nothing_becomes_of_frames_that_wait(systemd, clock):
    notifier = Notifier()
    notifier.progress(5, waiting=True)
    for _ in range(4):
        clock[0] += HALF_S
        notifier.progress(5, waiting=True)
    assert systemd() == ["WATCHDOG=1"]
    notifier.progress(6, waiting=True)
    assert systemd() == ["WATCHDOG=1"]


def test_the_watchdog_is_fed_while_no_frame_waits(systemd, clock):
    notifier = Notifier()
    for _ in range(4):
        notifier.progress(0, waiting=False)
        clock[0] += HALF_S
    assert systemd() == ["WATCHDOG=1"] * 4


def test_a_count_that_begins_anew_is_progress(systemd, clock):
    notifier = Notifier()
    notifier.progress(500, waiting=True)
    clock[0] += HALF_S
    notifier.progress(3, waiting=True)
    assert systemd() == ["WATCHDOG=1"] * 2


def test_a_ping_that_could_not_be_sent_is_sent_next_time(systemd, clock, monkeypatch):
    notifier = Notifier()
    with monkeypatch.context() as patch:
        patch.setattr(notifier, "_address", "/nowhere/notify")
        notifier.progress(1, waiting=True)
    assert systemd() == []
    clock[0] += 1
    notifier.progress(1, waiting=True)
    assert systemd() == ["WATCHDOG=1"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("WATCHDOG_USEC", "0"),
        ("WATCHDOG_USEC", "soon"),
        ("WATCHDOG_USEC", "-5"),
        ("WATCHDOG_USEC", ""),
        ("WATCHDOG_PID", "4194305"),  # one more than Linux ever gives
    ],
)
def test_without_a_watchdog_of_our_own_there_is_no_ping(systemd, monkeypatch, key, value):
    monkeypatch.setenv(key, value)
    notifier = Notifier()
    notifier.progress(1, waiting=False)
    notifier.ready()
    assert systemd() == ["READY=1"]


def test_a_watchdog_that_names_this_process_counts(systemd, monkeypatch):
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    Notifier().progress(1, waiting=True)
    assert systemd() == ["WATCHDOG=1"]


def all_of(notifier):
    notifier.ready()
    notifier.reloading()
    notifier.status("x\ud800\0y")
    notifier.progress(1, waiting=True)
    notifier.stopping()


@pytest.mark.parametrize(
    "address",
    [None, "", "@", "relative", "vsock:2:9", "/nowhere/notify", "/" + "x" * 500, "/\udcff"],
)
def test_nobody_there_is_no_error(monkeypatch, address):
    monkeypatch.setenv("WATCHDOG_USEC", "2")
    if address is None:
        monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    else:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
    all_of(Notifier())


def test_a_system_without_such_sockets_is_no_error(monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")
    monkeypatch.delattr(socket, "AF_UNIX")
    all_of(Notifier())


def test_a_systemd_that_does_not_read_holds_nobody_up(systemd):
    notifier = Notifier()

    def much():
        for number in range(5000):
            notifier.status(str(number))

    told = threading.Thread(target=much, daemon=True)
    told.start()
    told.join(60)
    assert not told.is_alive()
    received = systemd()
    assert received[0] == "STATUS=0"
    assert len(received) < 5000
