"""``edgeresnet run`` with live sources, as a process: stopped, suspended, killed, and silent."""

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest

MUST_END_S = 5  # what the design promises
WITHIN_S = 60
PASSWORD = "p@ss w%rd&#"
SUMMARY = re.compile(r"^(\d+) captured = (\d+) inferred \+ (\d+) dropped", re.MULTILINE)
CAMERA = "synthetic://64x48?count=0&fps=50"


@pytest.fixture(scope="module")
def web():
    """The module of the HTTP server that breaks."""
    file = Path(__file__).parents[1] / "servers/http.py"
    spec = importlib.util.spec_from_file_location("servers_http", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def site(web):
    with web.Site() as server:
        yield server


def until(holds, within_s=WITHIN_S):
    end = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.02)


class Running:
    """A run that would never end."""

    def __init__(self, bundle, folder, sources, *more):
        self.out, said = folder / "out.jsonl", folder / "said.txt"
        given = [word for source in sources for word in ("--source", source)]
        with said.open("w") as file:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "edgeresnet", "run", str(bundle), *given),
                    *("--sink", f"jsonl:{self.out}", *more),
                ],
                stdout=subprocess.DEVNULL,
                stderr=file,
                env={**os.environ, "ACCOUNT": f"user:{PASSWORD}"},
            )
        self._said = said

    @property
    def lines(self):
        if not self.out.exists():
            return []
        return [json.loads(line) for line in self.out.read_text().splitlines(keepends=True)[:-1]]

    @property
    def said(self):
        return self._said.read_text()

    @property
    def children(self):
        return psutil.Process(self.process.pid).children(recursive=True)

    def gives(self, count):
        enough = len(self.lines) + count
        until(lambda: len(self.lines) >= enough or self.process.poll() is not None)
        assert self.process.poll() is None, self.said

    def ends(self, number=signal.SIGTERM):
        """Send a signal; it ends in time, with its summary, and so does what it started."""
        children = self.children
        self.process.send_signal(number)
        assert self.process.wait(MUST_END_S) == 0, self.said
        until(lambda: not any(child.is_running() for child in children), 5)
        captured, inferred, dropped = map(int, SUMMARY.search(self.said).groups())
        assert captured == inferred + dropped
        assert "Traceback" not in self.said
        return inferred


@pytest.fixture
def start(sample_bundle, tmp_path):
    started = []

    def begin(*sources):
        started.append(Running(sample_bundle, tmp_path, sources))
        return started[-1]

    yield begin
    for running in started:
        for process in (*children_of(running), running.process):
            process.kill()
        running.process.wait()


def children_of(running):
    try:
        return running.children
    except psutil.NoSuchProcess:
        return []


@pytest.mark.parametrize("answer", ["silent", "absent", "stalled"])
def test_a_run_whose_camera_gives_nothing_stays_up_and_ends_at_a_signal(start, site, web, answer):
    site.answer = web.silent if answer == "silent" else web.mjpeg([jpeg(128)] * 30)
    url = "http://127.0.0.1:1/cam" if answer == "absent" else site.url()
    running = start(url)
    if answer == "stalled":
        running.gives(3)
    elif answer == "silent":
        until(lambda: site.requests)
    else:
        until(lambda: "refuses connections" in running.said)
    assert running.process.poll() is None
    running.ends()


def jpeg(grey):
    return cv2.imencode(".jpg", np.full((48, 64, 3), grey, np.uint8))[1].tobytes()


def test_black_and_white_pictures_get_labels_with_scores_that_are_numbers(start, site, web):
    site.answer = web.endless([jpeg(0), jpeg(255)])
    running = start(site.url("/cam"))
    running.gives(10)
    scores = [label["score"] for line in running.lines for label in line["labels"]]
    assert np.isfinite(scores).all()
    assert running.ends() >= 10


@pytest.mark.parametrize("with_children", [True, False], ids=["machine", "process"])
def test_a_run_that_is_suspended_goes_on_where_it_was(start, with_children):
    """As after a laptop was closed, or a debugger: one reconnect at most, and no storm."""
    running = start(CAMERA)
    running.gives(10)
    processes = [running.process, *(running.children if with_children else ())]
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    time.sleep(2.5)
    for process in reversed(processes):
        process.send_signal(signal.SIGCONT)
    running.gives(30)
    assert running.said.count("trying again") <= 1, running.said
    lines = running.lines
    assert all(line["age_ms"] >= 0 for line in lines)
    assert [line["frame"] for line in lines] == sorted({line["frame"] for line in lines})
    running.ends()


@pytest.mark.parametrize("source", [CAMERA, "gst://test?width=64&height=48&fps=15"])
def test_when_a_run_is_killed_its_children_go_too(start, source):
    running = start(source)
    until(lambda: running.lines or "gst-launch-1.0 is not installed" in running.said)
    if not running.lines:
        pytest.skip("gst-launch-1.0 is not installed")
    children = running.children
    assert children
    running.process.kill()
    running.process.wait()
    until(lambda: not any(child.is_running() for child in children), 5)


def test_a_killed_child_costs_a_run_a_reconnect_and_the_other_camera_nothing(start):
    running = start(f"{CAMERA}&as=one", f"{CAMERA}&as=two")
    running.gives(20)
    victim = next(
        child
        for child in running.children
        if "edgeresnet.sources.child" in " ".join(child.cmdline())
    )
    victim.send_signal(signal.SIGSEGV)
    until(lambda: "SIGSEGV" in running.said and "live again" in running.said)
    running.gives(50)
    frames = {
        name: [n["frame"] for n in running.lines if n["source"] == name] for name in ("one", "two")
    }
    assert all(indexes == sorted(set(indexes)) for indexes in frames.values())
    running.ends()


def test_a_password_is_in_no_list_of_processes_and_in_nothing_that_is_said(start, site, web):
    site.answer = web.in_turn(
        web.guarded("user", "another", web.silent),
        web.guarded("user", PASSWORD, web.mjpeg([jpeg(9)] * 9, then=web.cut)),
        web.guarded("user", PASSWORD, web.endless([jpeg(9)])),
    )
    running = start(site.url("/cam?a=1&auth=env:ACCOUNT&as=door"))
    until(lambda: f"user:{PASSWORD}" in site.credentials)
    running.gives(3)
    every = [Path(f"/proc/{one.pid}/cmdline") for one in (running.process, *running.children)]
    listed = b"".join(file.read_bytes() for file in every).decode()
    assert "edgeresnet.sources.child" in listed
    running.ends()
    shown = listed + running.said + running.out.read_text()
    assert "door" in shown
    assert not [form for form in (PASSWORD, "p%40ss", "w%25rd", "w%rd") if form in shown]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_benchmark_whose_camera_is_absent_can_be_ended(sample_bundle, tmp_path, number):
    said = tmp_path / "said.txt"
    source = ("--source", "http://127.0.0.1:1/cam", "--seconds", "1")
    with said.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "edgeresnet", "benchmark", str(sample_bundle), *source],
            stdout=subprocess.DEVNULL,
            stderr=file,
        )
    try:
        until(lambda: "refuses connections" in said.read_text() or process.poll() is not None)
        process.send_signal(number)
        assert process.wait(MUST_END_S) != 0
    finally:
        process.kill()
        process.wait()
