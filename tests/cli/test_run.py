"""``edgeresnet run`` as it is typed, stopped and piped."""

import json
import re
import signal
import subprocess
import sys
import time

import pytest

from edgeresnet.backends import BACKENDS
from edgeresnet.testing import FakeBackend, plugged, write_bundle

MUST_END_S = 5  # what the design promises
STARTS_S = 60
SUMMARY = re.compile(r"^(\d+) captured = (\d+) inferred \+ (\d+) dropped", re.MULTILINE)
FILE, CAMERA = "synthetic://64x48?count=0", "synthetic://64x48?count=0&fps=100"
HANGING = """
import sys, threading
from edgeresnet import sources
from edgeresnet.backends import BACKENDS
from edgeresnet.cli import main
from edgeresnet.testing import FakeBackend, ListSource, grey, plugged

def items():
    yield grey(1)
    print("hangs", flush=True)
    threading.Event().wait()

with (
    plugged(BACKENDS, "fake", backend=FakeBackend()),
    plugged(sources.SCHEMES, "list", open_place=lambda *_, **__: ListSource(items())),
):
    sys.exit(main(["run", sys.argv[1], "--source", "list://"]))
"""


@pytest.fixture
def start(sample_bundle, tmp_path):
    """Starts a run that would never end, and waits for its first predictions."""
    started = []

    def begin(source, *more):
        out = tmp_path / "out.jsonl"
        command = [sys.executable, "-m", "edgeresnet", "run", str(sample_bundle)]
        options = ["--source", source, "--sink", f"jsonl:{out}", *more]
        process = subprocess.Popen(
            [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        end = time.monotonic() + STARTS_S
        while not (out.exists() and out.read_text().count("\n") > 3):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end, "no prediction came"
            time.sleep(0.02)
        return process, out

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def identity(err):
    captured, inferred, dropped = map(int, SUMMARY.search(err).groups())
    assert captured == inferred + dropped
    return inferred


@pytest.mark.parametrize("source", [FILE, CAMERA])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_with_its_summary_and_exit_0(start, source, number):
    process, out = start(source)
    process.send_signal(number)
    stdout, err = process.communicate(timeout=MUST_END_S)
    assert process.returncode == 0
    assert stdout == ""
    assert "error" not in err
    assert "Traceback" not in err
    lines = out.read_text().splitlines()
    assert identity(err) == len(lines)
    frames = [json.loads(line)["frame"] for line in lines]
    assert frames == sorted(set(frames))


def test_with_json_a_stopped_run_still_gives_its_report(start):
    process, out = start(FILE, "--json")
    process.send_signal(signal.SIGTERM)
    stdout, _ = process.communicate(timeout=MUST_END_S)
    assert process.returncode == 0
    frames = json.loads(stdout)["frames"]
    assert frames["captured"] == frames["inferred"] + sum(frames["dropped"].values())
    assert frames["inferred"] == len(out.read_text().splitlines())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_second_signal_ends_even_what_hangs(tmp_path, number):
    bundle = write_bundle(tmp_path / "b", classes=256)
    with subprocess.Popen(
        [sys.executable, "-c", HANGING, str(bundle)], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout.readline() == "hangs\n"
            process.send_signal(number)
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.5)  # a file's frames are not given up for one signal
            process.send_signal(number)
            assert process.wait(MUST_END_S) == -number
        finally:
            process.kill()


def test_a_reader_that_leaves_ends_the_run_quietly(sample_bundle, tmp_path):
    film = tmp_path / "out.mp4"
    command = (
        f"{sys.executable} -m edgeresnet run {sample_bundle} --source '{FILE}' "
        f"--sink jsonl:- --sink video:{film} | head -3; echo ${{PIPESTATUS[0]}}"
    )
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, timeout=STARTS_S, check=True
    )
    *lines, code = done.stdout.splitlines()
    assert [json.loads(line)["frame"] for line in lines] == [0, 1, 2]
    assert code == "141"  # as of any program that a closed pipe ends
    assert done.stderr == ""
    assert film.stat().st_size > 0  # the other sinks finish what they have


def test_a_table_into_a_closed_pipe_is_quiet_too():
    command = f"{sys.executable} -m edgeresnet targets | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_it_reports_on_standard_error_and_writes_where_it_is_told(
    edgeresnet, sample_bundle, tmp_path
):
    sinks = [f"jsonl:{tmp_path}/out.jsonl", f"csv:{tmp_path}/out.csv"]
    told = edgeresnet(
        "run", sample_bundle, "--source", "synthetic://64x48?count=7", "--top", 2,
        "--sink", sinks[0], "--sink", sinks[1],
    )  # fmt: skip
    assert (told.code, told.out) == (0, "")
    assert identity(told.err) == 7
    assert "frames/s; latency ms p50" in told.err
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [line["frame"] for line in lines] == list(range(7))
    assert all(len(line["labels"]) == 2 for line in lines)
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 1 + 7 * 2


def test_a_class_may_have_a_threshold_of_its_own(edgeresnet, sample_bundle, tmp_path):
    def labels(*more):
        out = tmp_path / f"{len(more)}.jsonl"
        told = edgeresnet(
            "run", sample_bundle, "--source", "synthetic://64x48?count=1",
            "--sink", f"jsonl:{out}", *more,
        )  # fmt: skip
        assert told.code == 0
        return [label["name"] for label in json.loads(out.read_text())["labels"]]

    all_five = labels()
    last = all_five[-1]
    assert labels("--class-threshold", f"{last}=1") == all_five[:-1]


@pytest.mark.parametrize(
    ("options", "says", "hint"),
    [
        (["--class-threshold", "person"], "'person' is not a class and a score", "person=0.5"),
        (["--class-threshold", "car=1.5"], "'car=1.5' is not a class and a score", "person=0.5"),
        (["--class-threshold", "=0.5"], "'=0.5' is not a class and a score", "person=0.5"),
        (["--class-threshold", "umbrela=0.5"], "no class 'umbrela'", "'umbrella'"),
        (["--track"], "task 'classify' finds nothing that could be tracked", "--track"),
    ],
)
def test_what_the_model_does_not_have_is_refused(edgeresnet, sample_bundle, options, says, hint):
    told = edgeresnet("run", sample_bundle, "--source", "synthetic://8x8?count=1", *options)
    assert told.code == 2
    assert says in told.err
    assert hint in told.err


def test_the_report_is_one_object(edgeresnet, sample_bundle):
    told = edgeresnet("run", sample_bundle, "--source", "synthetic://64x48?count=5", "--json")
    assert told.code == 0
    assert told.json["frames"] == {"captured": 5, "inferred": 5, "dropped": {}}
    assert told.err == ""


def test_frames_ends_it(edgeresnet, sample_bundle):
    told = edgeresnet("run", sample_bundle, "--source", FILE, "--frames", 4, "--json")
    assert told.json["frames"]["captured"] == 4


def test_lines_on_standard_output_are_all_there_is(edgeresnet, sample_bundle):
    """Both streams apart: a script reads one, a person the other."""
    told = edgeresnet(
        "run", sample_bundle, "--source", "synthetic://64x48?count=3", "--sink", "jsonl:-"
    )
    assert [json.loads(line)["frame"] for line in told.out.splitlines()] == [0, 1, 2]
    assert identity(told.err) == 3


def test_without_a_sink_labels_are_shown_unless_it_is_to_be_quiet(edgeresnet, sample_bundle):
    loud = edgeresnet("run", sample_bundle, "--source", "synthetic://64x48?count=3")
    assert "frames/s  p50" in loud.err
    quiet = edgeresnet("run", sample_bundle, "--source", "synthetic://64x48?count=3", "-q")
    assert "frames/s  p50" not in quiet.err
    assert identity(quiet.err) == 3


def test_an_engine_that_was_compiled_wrongly_is_told(edgeresnet, tmp_path):
    bundle = write_bundle(tmp_path / "b", classes=256)
    with plugged(BACKENDS, "fake", backend=FakeBackend(wrong_loads=2)):
        told = edgeresnet("run", bundle, "--source", "synthetic://8x8?count=2")
    assert told.code == 0
    assert "compiled wrongly 2 times" in told.err


def test_reasons_of_dropped_frames_are_in_the_summary(edgeresnet, sample_bundle, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.jpg").write_text("no picture")
    source = tmp_path / "in"
    import cv2

    from edgeresnet.datasets.procedural import draw_picture

    cv2.imwrite(str(source / "b.png"), draw_picture(0, seed=1).pixels)
    told = edgeresnet("run", sample_bundle, "--source", source)
    assert "2 captured = 1 inferred + 1 dropped (unreadable 1)" in told.err
