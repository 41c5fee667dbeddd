"""``edgeresnet run app.toml`` as it is left running: signals, reloads, what it leaves behind."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

STARTS_S, MUST_END_S = 60, 8
IDENTITY = re.compile(r"^(\d+) captured = (\d+) inferred \+ (\d+) dropped", re.MULTILINE)


def until(condition, seconds=STARTS_S, what="it never came"):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, what
        time.sleep(0.02)
    return found


class Running:
    """One run of ``app.toml`` in a folder of its own."""

    def __init__(self, folder, bundle, **environment):
        self.folder, self.out, self.err = folder, folder / "out.jsonl", folder / "err.txt"
        self.app = folder / "app.toml"
        self.bundle, self.environment = bundle, environment
        self.process = None

    def write(self, *sources, more=""):
        tables = "".join(f'[[source]]\nuri = "{uri}"\n' for uri in sources)
        self.app.write_text(
            f'schema_version = 1\nbundle = "{self.bundle}"\n{more}{tables}'
            f'[[sink]]\nuri = "jsonl:{self.out}"\n'
        )

    def start(self, *more):
        command = [sys.executable, "-m", "edgeresnet", "run", str(self.app), *more]
        with self.err.open("ab") as err:
            self.process = subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=err,
                env={**os.environ, **self.environment},
            )  # fmt: skip
        return self

    def lines(self):
        if not self.out.exists():
            return []
        whole = self.out.read_text().rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines()]

    def children(self):
        return psutil.Process(self.process.pid).children(recursive=True)

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        code = self.process.wait(MUST_END_S)
        return code, self.err.read_text()


@pytest.fixture
def app(tmp_path, sample_bundle):
    running = Running(tmp_path, sample_bundle)
    yield running
    if running.process is not None and running.process.poll() is None:
        for child in running.children():
            child.kill()
        running.process.kill()
        running.process.wait()


LIVE = "synthetic://64x48?fps=40&count=0"


@pytest.mark.parametrize(
    "source", [LIVE, f"{LIVE}&hang=3&stall=60", "rtsp://127.0.0.1:9/none", "camera://98"]
)
def test_sigterm_ends_a_run_whatever_its_source_does_and_leaves_no_child(app, source):
    app.write("synthetic://64x48?count=0&fps=20&as=beside", source)
    app.start()
    until(lambda: len(app.lines()) > 5)
    children = app.children()
    assert len(children) == 2
    code, err = app.end()
    assert code == 0, err
    captured, inferred, dropped = map(int, IDENTITY.search(err).groups())
    assert captured == inferred + dropped
    assert inferred == len(app.lines())
    assert "Traceback" not in err
    assert not any(child.is_running() for child in children)


def test_when_the_parent_dies_its_children_die_with_it(app):
    app.write(LIVE, f"{LIVE}&hang=2&stall=60&as=hangs")
    app.start()
    until(lambda: len(app.lines()) > 3)
    children = app.children()
    assert children
    app.process.kill()
    app.process.wait()
    until(lambda: not any(child.is_running() for child in children), 5, "a child is left")


def test_sighup_reads_the_file_again(app):
    app.write(f"{LIVE}&as=before")
    app.start()
    until(app.lines)
    app.write(f"{LIVE}&as=after")
    app.process.send_signal(signal.SIGHUP)
    until(lambda: app.lines()[-1]["source"] == "after")
    code, err = app.end()
    assert code == 0
    assert "was read again" in err
    assert len(IDENTITY.findall(err)) == 2


def test_a_bad_reload_keeps_the_run_as_it_was_and_says_why(app):
    app.write(LIVE)
    app.start()
    until(app.lines)
    app.write(LIVE, more="tpo = 3\n")
    app.process.send_signal(signal.SIGHUP)
    until(lambda: "goes on as it was" in app.err.read_text())
    assert "tpo" in app.err.read_text()
    before = len(app.lines())
    until(lambda: len(app.lines()) > before + 3)
    assert app.end()[0] == 0


def test_a_reload_that_cannot_begin_leaves_the_run_as_it_was(app):
    app.write(LIVE)
    app.start()
    until(app.lines)
    app.write(LIVE, more="")
    app.app.write_text(app.app.read_text().replace(str(app.bundle), "/nowhere.bundle"))
    app.process.send_signal(signal.SIGHUP)
    until(lambda: "goes on as it was" in app.err.read_text())
    assert "nowhere.bundle" in app.err.read_text()
    before = len(app.lines())
    until(lambda: len(app.lines()) > before + 3)
    assert app.end()[0] == 0


def test_a_sighup_after_sigterm_does_not_begin_again(app):
    app.write("synthetic://64x48?count=0&fps=20", f"{LIVE}&hang=2&stall=60&as=hangs")
    app.start()
    until(app.lines)
    app.process.send_signal(signal.SIGTERM)
    app.process.send_signal(signal.SIGHUP)
    assert app.process.wait(MUST_END_S) == 0


@pytest.mark.parametrize("sink", ["video:out.mp4", "images:out"])
def test_a_sink_of_one_run_is_refused_in_a_file_that_is_run_again_and_again(app, sink):
    app.write(LIVE)
    app.app.write_text(app.app.read_text() + f'[[sink]]\nuri = "{sink}"\n')
    app.start()
    assert app.process.wait(STARTS_S) == 2
    assert "of one run" in app.err.read_text()


def test_a_reader_that_stalls_cannot_keep_a_run_from_ending(app, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "pipe").open("rb+", buffering=0):  # held open, never read
        app.out = tmp_path / "pipe"
        app.write("synthetic://64x48?count=0")
        app.start("--sink", f"jsonl:{tmp_path}/pipe", "--sink", f"jsonl:{tmp_path}/other.jsonl")
        until((tmp_path / "other.jsonl").exists)
        time.sleep(1)
        code, err = app.end()
    assert code == 0, err
    assert "left behind" in err
    assert IDENTITY.search(err)


def test_a_benchmark_of_a_dead_camera_ends_by_a_signal_and_says_why_by_itself(sample_bundle):
    command = [sys.executable, "-m", "edgeresnet", "benchmark", str(sample_bundle),
               "--source", "rtsp://127.0.0.1:9/x", "--seconds", "1", "-q"]  # fmt: skip
    started = time.monotonic()
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        time.sleep(4)
        process.send_signal(signal.SIGTERM)
        assert process.wait(MUST_END_S) == 128 + signal.SIGTERM
    assert time.monotonic() - started < 4 + MUST_END_S


def test_a_second_sigterm_ends_at_once(app):
    app.write("synthetic://64x48?count=0&fps=20", f"{LIVE}&hang=2&stall=60&as=hangs")
    app.start()
    until(app.lines)
    app.process.send_signal(signal.SIGTERM)
    app.process.send_signal(signal.SIGTERM)
    assert app.process.wait(MUST_END_S) in (0, -signal.SIGTERM)


def test_a_source_that_is_required_and_does_not_come_is_exit_6(app, monkeypatch):
    app.write("rtsp://127.0.0.1:9/none")
    app.start("--require-source")
    assert app.process.wait(30) == 6
    err = app.err.read_text()
    assert "no source gave a frame in 10 s: 127.0.0.1-9-none: " in err
    assert "refuses connections" in err


def test_systemd_hears_when_it_is_ready_and_that_it_makes_progress(app, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(tmp_path / "notify"))
        heard.settimeout(STARTS_S)
        app.environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "1000000"}
        app.write(LIVE)
        app.start()
        said = []
        while not any(b"WATCHDOG=1" in message for message in said):
            said.append(heard.recv(4096))
        assert b"READY=1" in said[0]
        assert app.end()[0] == 0
        heard.settimeout(0.1)
        try:
            while True:
                said.append(heard.recv(4096))
        except TimeoutError:
            pass
        assert any(b"STOPPING=1" in message for message in said)


@pytest.mark.parametrize("password", ["p@ss w%rd&#", "geheim/äöü:x"])
def test_a_password_shows_nowhere(app, password):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        app.environment = {"CAM_AUTH": f"me:{password}"}
        app.write("synthetic://64x48?count=0&fps=20")
        app.app.write_text(
            app.app.read_text()
            + f'[[source]]\nuri = "rtsp://127.0.0.1:{port}/x"\nauth = "env:CAM_AUTH"\n'
        )
        app.start("--debug")
        until(lambda: len(app.lines()) > 3)
        with server.accept()[0] as connected:
            assert connected.recv(100)
        for process in (psutil.Process(app.process.pid), *app.children()):
            command = Path(f"/proc/{process.pid}/cmdline").read_bytes()
            assert password.encode() not in command
    until(lambda: "127.0.0.1" in app.err.read_text())
    _, err = app.end()
    assert password not in err + app.out.read_text()


@pytest.mark.parametrize("port", ["web:{port}", "web:127.0.0.1:{port}"])
def test_a_port_in_use_is_named(app, port, sample_bundle):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        number = server.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "edgeresnet", "run", str(sample_bundle), "--source", LIVE,
             "--sink", port.format(port=number)],
            capture_output=True, text=True, timeout=STARTS_S, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert str(number) in done.stderr
    assert "hint:" in done.stderr
