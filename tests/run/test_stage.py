import json
import threading
import time

import pytest

from edgeresnet import sinks, sources
from edgeresnet.backends import BACKENDS
from edgeresnet.core.errors import DeviceError, ModelError, UsageError
from edgeresnet.core.protocols import Mode
from edgeresnet.flow.stream import Policy
from edgeresnet.run.model import open_model
from edgeresnet.run.stage import check_stdout, run
from edgeresnet.testing import FakeBackend, ListSink, ListSource, grey, plugged, write_bundle


class Bench:
    """A fake bundle, and a fake source and sink for ``list://`` and ``list:``."""

    def __init__(self, folder):
        self.backend, self.bundle = FakeBackend(), write_bundle(folder / "b", classes=256)
        self.source, self.sinks = ListSource([grey(v) for v in (30, 10, 20)]), {"a": ListSink()}
        self.opened = []

    def open_source(self, _place, _options, terms):
        assert terms.index == 0
        assert isinstance(terms.stop, threading.Event)
        self.opened.append("source")
        return self.source

    def open_sink(self, place, terms):
        self.opened.append(f"sink {place}")
        self.terms = terms
        return self.sinks[place]

    def run(self, *places, **options):
        return run(self.bundle, "list://here", [f"list:{p}" for p in places or ["a"]], **options)


@pytest.fixture
def bench(tmp_path):
    made = Bench(tmp_path)
    before = threading.active_count()
    with (
        plugged(BACKENDS, "fake", backend=made.backend),
        plugged(sources.SCHEMES, "list", open_place=made.open_source),
        plugged(sinks.SCHEMES, "list", open_place=made.open_sink),
    ):
        yield made
    assert threading.active_count() == before
    assert made.backend.open_engines == 0
    assert made.source.closed == ("source" in made.opened)


def test_every_sink_gets_every_prediction_in_order_and_is_closed(bench):
    bench.sinks["b"] = ListSink()
    report = bench.run("a", "b")
    for sink in bench.sinks.values():
        assert sink.class_ids == [30, 10, 20]
        assert [frame.index for frame in sink.frames] == [0, 1, 2]
        assert sink.closed
    assert report.counters.as_json() == {"captured": 3, "inferred": 3, "dropped": {}}
    assert report.model == bench.terms.model == "sha256:" + "0" * 64


def test_it_runs_without_sinks_and_tells_each_result(bench):
    told = []
    report = run(
        bench.bundle,
        "list://",
        on_result=lambda report, result: told.append(
            (report.counters.inferred, result.prediction.best.class_id)
        ),
    )
    assert told == [(1, 30), (2, 10), (3, 20)]
    assert report.counters.inferred == 3


@pytest.mark.parametrize(
    ("live", "mode", "sessions"), [(False, Mode.THROUGHPUT, 3), (True, Mode.LATENCY, 1)]
)
def test_a_camera_is_loaded_for_latency_and_a_file_for_throughput(bench, live, mode, sessions):
    bench.source.live = live
    bench.run()
    assert [used for used, _ in bench.backend.loads] == [mode]
    assert bench.backend.sessions == sessions  # a file's workers decode as well: one to spare


def test_a_sink_that_fails_is_told_in_the_end_when_the_others_have_had_everything(bench):
    error = DeviceError("disk full")
    bench.source = ListSource([grey(v) for v in range(200)])
    bench.sinks["b"] = ListSink(fails_at=5, error=error)
    with pytest.raises(DeviceError) as caught:
        bench.run("a", "b")
    assert caught.value is error
    assert bench.sinks["a"].class_ids == list(range(200))
    assert bench.sinks["b"].class_ids == list(range(5))
    assert all(sink.closed for sink in bench.sinks.values())


def test_when_a_sink_fails_no_session_runs_any_more(bench):
    """The engine is freed next, and the source's device with it."""
    running, closed_while_running = [], []

    class Watched(ListSink):
        def __exit__(self, *error):
            closed_while_running.append(list(running))
            super().__exit__(*error)

    def during(pictures):
        running.append(pictures)
        time.sleep(0.002)
        running.pop()

    bench.backend.during = during
    bench.source = ListSource([grey(v) for v in range(200)])
    bench.sinks["a"] = Watched(fails_at=3)
    with pytest.raises(OSError, match="the sink failed"):
        bench.run()
    assert closed_while_running == [[]]


def test_a_source_that_fails_ends_the_run_and_what_came_before_is_written(bench):
    bench.source = ListSource([grey(1), grey(2), DeviceError("unplugged")])
    with pytest.raises(DeviceError, match="unplugged"):
        bench.run()
    assert bench.sinks["a"].class_ids == [1, 2]
    assert bench.sinks["a"].closed


def test_stop_ends_it_with_its_report(bench):
    stop = threading.Event()
    bench.source = ListSource(grey(7) for _ in iter(int, 1))
    report = bench.run(
        stop=stop, on_result=lambda report, _: report.counters.inferred < 5 or stop.set()
    )
    assert report.counters.balanced
    assert report.counters.inferred >= 5


def test_stop_ends_a_build_that_takes_minutes(bench):
    stop, steps = threading.Event(), []

    def building(progress):
        while True:
            steps.append(progress("build the engine", len(steps), 10_000))
            if len(steps) == 5:
                stop.set()

    bench.backend.loading = building
    report = bench.run(stop=stop)
    assert len(steps) == 5
    assert report.counters.captured == 0


def test_the_policy_is_kept(bench):
    report = bench.run(policy=Policy(frames=2, top=1))
    assert report.counters.captured == 2
    assert [len(prediction.labels) for prediction in bench.sinks["a"].predictions] == [1, 1]


def test_an_engine_that_was_compiled_wrongly_is_told_in_the_report(bench):
    bench.backend.wrong_sessions = 1
    assert bench.run().as_json()["recompiled"] == 1


def test_a_damaged_bundle_is_refused_before_the_camera_is_opened(bench):
    (bench.bundle / "model.fake").write_text("other")
    with pytest.raises(ModelError):
        bench.run()
    assert bench.opened == []


@pytest.mark.parametrize("sink", ["nosuch:x", "list", "video:film.xyz"])
def test_a_wrong_sink_is_refused_and_closes_what_was_open(bench, sink):
    with pytest.raises(UsageError):
        run(bench.bundle, "list://", ["list:a", sink])
    assert bench.source.taken == 0
    assert bench.sinks["a"].closed or bench.opened == []


def test_force_reaches_the_sinks(bench, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/old.txt").touch()
    sink = f"images:{tmp_path}/out"
    with pytest.raises(UsageError, match="not empty"):
        run(bench.bundle, "list://", [sink])
    run(bench.bundle, "list://", [sink], force=True)
    assert len(list((tmp_path / "out").glob("*.jpg"))) == 3


def test_what_run_says_of_a_picture_is_what_predict_says(
    sample_int8, compiled, drawn_pictures, tmp_path
):
    bundle = compiled(sample_int8, "generic-cpu")
    files = sorted(drawn_pictures.rglob("*.jpg"))[::37]
    (tmp_path / "in").mkdir()
    for n, file in enumerate(files):
        (tmp_path / f"in/{n:02}.jpg").write_bytes(file.read_bytes())
    run(bundle, str(tmp_path / "in"), [f"jsonl:{tmp_path}/out.jsonl"])
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert len(lines) == len(files)
    with open_model(bundle) as model:
        for file, line in zip(files, lines, strict=True):
            labels = [
                {"class_id": label.class_id, "name": label.name, "score": round(label.score, 6)}
                for label in model.predict(file).labels
            ]
            assert line["labels"] == labels


@pytest.mark.parametrize(
    ("given", "as_json", "refused"),
    [
        (["jsonl:-"], True, True),
        (["csv:/dev/stdout"], True, True),
        (["jsonl:-", "csv:-"], False, True),
        (["jsonl:-"], False, False),
        (["jsonl:out.jsonl", "csv:out.csv"], True, False),
        ([], True, False),
    ],
)
def test_standard_output_has_one_writer(given, as_json, refused):
    if refused:
        with pytest.raises(UsageError, match="both write to stdout"):
            check_stdout(given, as_json=as_json)
    else:
        check_stdout(given, as_json=as_json)


@pytest.fixture
def mixed_pictures(tmp_path):
    """A folder of forty pictures and four that are none."""
    import cv2

    folder = tmp_path / "mixed"
    folder.mkdir()
    for index in range(40):
        cv2.imwrite(str(folder / f"{index:02}.jpg"), grey(index, (12, 16)))
    whole = (folder / "00.jpg").read_bytes()
    for name, data in {
        "cut.jpg": whole[: len(whole) // 3],
        "empty.png": b"",
        "page.jpg": b"<html>no</html>",
        "x.png": b"\x89PNG\r\n\x1a\n" + bytes(50),
    }.items():
        (folder / name).write_bytes(data)
    return folder


def test_bad_pictures_are_told_one_a_line_and_the_others_are_done(bench, mixed_pictures, tmp_path):
    errors = tmp_path / "errors.jsonl"
    report = run(bench.bundle, str(mixed_pictures), ["list:a"], errors=errors)
    assert report.counters.as_json()["dropped"] == {"unreadable": 4}
    assert len(bench.sinks["a"].frames) == 40
    told = [json.loads(line) for line in errors.read_text().splitlines()]
    assert [line["name"].rpartition("/")[2] for line in told] == [
        "cut.jpg",
        "empty.png",
        "page.jpg",
        "x.png",
    ]
    assert {line["reason"] for line in told} == {"unreadable"}
    assert all(line["what"] for line in told)


def test_with_strict_a_bad_picture_is_an_error_after_all_the_others(bench, mixed_pictures):
    with pytest.raises(DeviceError, match="4 of 44 pictures or frames could not be read"):
        run(bench.bundle, str(mixed_pictures), ["list:a"], strict=True)
    assert len(bench.sinks["a"].frames) == 40
