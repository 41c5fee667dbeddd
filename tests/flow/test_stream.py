import random
import threading
import time
from contextlib import closing
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from edgeresnet.backends import BACKENDS
from edgeresnet.core.errors import UsageError
from edgeresnet.core.frames import Frame
from edgeresnet.core.labels import numbered
from edgeresnet.core.preprocess import Crop, Preprocess
from edgeresnet.core.protocols import Mode
from edgeresnet.core.tensors import BOXES, CLASS_IDS, IMAGE, SCORES
from edgeresnet.flow import intake as intake_module
from edgeresnet.flow.counters import Counters
from edgeresnet.flow.intake import Feed, Rate
from edgeresnet.flow.opening import open_bundle
from edgeresnet.flow.stream import Policy, check, predictions
from edgeresnet.testing import FakeBackend, ListSource, grey, plugged, write_bundle

HOUR_NS = 3_600_000_000_000
MUST_END_S = 5  # what the design promises for Ctrl-C


def said(results):
    return [result.prediction.best.class_id for result in results]


def indexes(results):
    return [result.frame.index for result in results]


def stop_after(count):
    return lambda results, stream: stream.stop.set() if len(results) == count else None


def test_frames_of_a_file_all_get_their_own_prediction_in_their_order(stream, backend):
    rng = np.random.default_rng(3)
    values = [int(value) for value in rng.integers(0, 256, 80)]
    backend.parallel = 3
    backend.during = lambda _pictures: time.sleep(random.uniform(0, 0.002))
    run = stream(ListSource([grey(value) for value in values]))
    results = run.run()
    assert said(results) == values
    assert indexes(results) == list(range(80))
    assert run.counters.as_json() == {"captured": 80, "inferred": 80, "dropped": {}}


def test_a_live_source_loses_what_a_newer_frame_overtakes_and_counts_it(stream, backend):
    busy, go = threading.Event(), threading.Event()

    def items():
        yield grey(10)
        busy.wait()  # the engine is at the first frame
        for value in range(11, 20):
            yield grey(value)
        go.set()

    def during(pictures):
        if pictures.max() == 10:
            busy.set()
            go.wait()

    backend.during = during
    run = stream(ListSource(items(), live=True))
    assert said(run.run()) == [10, 19]
    assert run.counters.as_json() == {"captured": 10, "inferred": 2, "dropped": {"newer": 8}}


@pytest.mark.parametrize("live", [False, True])
def test_results_older_than_the_greatest_age_are_dropped_as_stale(stream, live):
    def items():
        for index in range(6):
            age_ns = HOUR_NS if index % 3 == 0 else 0
            yield Frame(grey(index), index, time.monotonic_ns() - age_ns)
            if live:
                taken[index].wait()

    taken = [threading.Event() for _ in range(6)]
    for index in (0, 3):
        taken[index].set()
    source = ListSource(items(), live=live)
    run = stream(source, Policy(max_age_ms=HOUR_NS / 2e6))
    results = run.run(lambda results, _: taken[results[-1].frame.index].set())
    if live:  # a stale frame may also have been overtaken
        assert set(said(results)) == {1, 2, 4, 5}
        assert sum(run.counters.dropped.values()) == 2
    else:
        assert said(results) == [1, 2, 4, 5]
        assert run.counters.dropped == {"stale": 2}


def test_a_live_source_is_thinned_to_the_rate(stream):
    run = stream(ListSource([grey(v) for v in range(20)], live=True), Policy(fps=1e-6))
    assert said(run.run()) == [0]
    assert run.counters.dropped == {"rate": 19}


def test_a_file_waits_for_its_turn_before_a_frame_is_taken_and_loses_none(stream, monkeypatch):
    told = []

    def ticks(fps, stop):
        assert not stop.is_set()
        while True:
            told.append(fps)
            yield 0

    def items():
        for value in range(3):
            told.append("frame")
            yield grey(value)

    monkeypatch.setattr(intake_module, "ticks", ticks)
    run = stream(ListSource(items()), Policy(fps=12.5))
    assert said(run.run()) == [0, 1, 2]
    assert told == [12.5, "frame"] * 3 + [12.5]


@pytest.mark.parametrize("live", [False, True])
def test_frames_ends_the_run_after_so_many_captured(stream, live):
    source = ListSource([grey(v) for v in range(200)], live=live)
    run = stream(source, Policy(frames=7))
    results = run.run()
    assert run.counters.captured == 7
    assert source.taken == 7
    assert run.counters.inferred == len(results)
    assert run.counters.dropped.get("stopped", 0) == 0
    assert live or said(results) == list(range(7))


@pytest.mark.parametrize("live", [False, True])
def test_stop_ends_the_run_in_the_middle_and_what_was_under_way_is_counted(stream, live):
    def items():
        while True:
            yield grey(5)
            time.sleep(0.001)

    run = stream(ListSource(items(), live=live))
    results = run.run(stop_after(3))
    assert len(results) >= 3
    assert run.error is None
    assert set(run.counters.dropped) <= {"stopped", "newer"}


def test_a_run_that_is_stopped_before_it_begins_takes_nothing(stream):
    stop = threading.Event()
    stop.set()
    source = ListSource([grey(1)] * 10)
    run = stream(source, stop=stop)
    assert run.run() == []
    assert source.taken == 0


def test_what_a_file_source_raises_comes_after_the_frames_before_it(stream):
    error = OSError("the disk went away")
    run = stream(ListSource([grey(1), grey(2), grey(3), error, grey(4)]))
    assert said(run.run()) == [1, 2, 3]
    assert run.error is error
    assert run.counters.as_json() == {"captured": 3, "inferred": 3, "dropped": {}}


def test_what_a_live_source_raises_is_raised_on_the_callers_thread(stream):
    error = OSError("the camera went away")
    run = stream(ListSource([grey(1), grey(2), error], live=True))
    run.run()
    assert run.error is error
    assert run.counters.captured == 2


def test_what_an_engine_raises_ends_the_run(stream, backend):
    error = RuntimeError("the device failed")

    def during(pictures):
        if pictures.max() == 77:
            raise error

    backend.during = during
    run = stream(ListSource([grey(v) for v in range(70, 200)]))
    assert said(run.run()) == list(range(70, 77))
    assert run.error is error
    assert set(run.counters.dropped) == {"stopped"}


def test_an_engine_that_is_no_number_is_an_error_and_never_a_label(stream, backend, monkeypatch):
    from edgeresnet.testing import backend as testing

    real = testing.brightness_logits

    def logits(pictures, classes):
        found = real(pictures, classes)
        return found * np.nan if pictures.max() == 9 else found

    monkeypatch.setattr(testing, "brightness_logits", logits)
    run = stream(ListSource([grey(8), grey(9), grey(10)]))
    assert said(run.run()) == [8]
    assert "not finite" in str(run.error)


def test_a_caller_who_leaves_early_ends_everything(greys, backend):
    counters = Counters()
    source = ListSource([grey(v) for v in range(100)])
    with open_bundle(greys, Mode.THROUGHPUT) as opened:
        results = predictions([Feed(source, counters)], opened, Policy(), threading.Event())
        with closing(results):
            next(results)
    assert counters.balanced
    assert counters.inferred == 1
    assert counters.captured == source.taken <= 2 + 2 * backend.parallel


def test_what_the_source_itself_lost_is_captured_and_dropped(stream):
    source = ListSource([grey(1), grey(2)])
    source.dropped = {"corrupt": 3, "unreadable": 0}
    run = stream(source)
    run.run()
    assert run.counters.as_json() == {"captured": 5, "inferred": 2, "dropped": {"corrupt": 3}}


@pytest.mark.parametrize("how", ["stop", "leave"])
def test_a_live_source_that_hangs_cannot_keep_a_run_from_ending(greys, backend, how):
    hangs, counters, stop = threading.Event(), Counters(), threading.Event()

    def body():
        source = ListSource([grey(1), hangs, grey(2)], live=True)
        with open_bundle(greys, Mode.LATENCY) as opened:
            results = predictions([Feed(source, counters)], opened, Policy(), stop)
            with closing(results):
                next(results)
                if how == "stop":
                    stop.set()
                    assert list(results) == []

    caller = threading.Thread(target=body)
    caller.start()
    caller.join(MUST_END_S)
    ended = not caller.is_alive()
    found = counters.as_json()
    hangs.set()  # the driver comes back after all
    caller.join()
    assert ended
    assert found == {"captured": 1, "inferred": 1, "dropped": {}}
    for thread in threading.enumerate():
        if thread.name == "capture":
            thread.join()
    assert counters.as_json() == found


def test_a_graph_of_two_pictures_a_run_still_tells_one_frame_from_the_next(backend, tmp_path):
    bundle = write_bundle(tmp_path / "two.bundle", classes=256, batch=2)
    seen = []
    backend.during = lambda pictures: seen.append(len(pictures))
    counters = Counters()
    with open_bundle(bundle, Mode.THROUGHPUT) as opened:
        source = ListSource([grey(v) for v in (3, 1, 2)])
        results = list(predictions([Feed(source, counters)], opened, Policy(), threading.Event()))
    assert said(results) == [3, 1, 2]
    assert set(seen) == {2}


def test_top_and_threshold_reach_the_predictions(stream):
    (result,) = stream(ListSource([grey(100)]), Policy(top=3)).run()
    scores = [label.score for label in result.prediction.labels]
    assert len(scores) == 3
    assert scores == sorted(scores, reverse=True)
    (result,) = stream(ListSource([grey(100)]), Policy(top=200, threshold=scores[-1])).run()
    assert 3 <= len(result.prediction.labels) < 200
    assert min(label.score for label in result.prediction.labels) >= scores[-1]


class Wanderer:
    """A session that sees one box, where the grey of the picture says; 255 is nothing."""

    def infer(self, feeds):
        time.sleep(random.uniform(0, 0.003))  # so that workers overtake each other
        x = float(feeds[IMAGE].max())
        count = int(x < 255)
        return {
            BOXES: np.array([[[x, 5, x + 40, 60]]], np.float32)[:, :count],
            SCORES: np.full((1, count), 0.9, np.float32),
            CLASS_IDS: np.zeros((1, count), np.int32),
        }


def detector(sessions=3):
    """What an open bundle has to have here, for a detector."""
    preprocess = Preprocess(size=(64, 320), crop=Crop.LETTERBOX)
    manifest = SimpleNamespace(task="detect", preprocess=preprocess)
    bundle = SimpleNamespace(manifest=manifest, labels=numbered(2))
    made = [Wanderer() for _ in range(sessions)]
    return SimpleNamespace(bundle=bundle, sessions=made, batch=1)


def tracks(*sources, **policy):
    """Track ids of each source's frames."""
    feeds = [Feed(source) for source in sources]
    found = {source.name: [] for source in sources}
    for result in predictions(feeds, detector(), Policy(**policy), threading.Event()):
        found[result.frame.source].append(result.prediction.track_ids.tolist())
    return found


def wandering(greys, **options):
    return ListSource([grey(value, (64, 320)) for value in greys], **options)


def test_a_thing_keeps_its_id_though_workers_overtake_each_other():
    found = tracks(wandering(range(0, 250, 5)), track=True)
    assert found == {"list": [[1]] * 50}
    assert tracks(wandering(range(3))) == {"list": [[-1]] * 3}


def test_each_source_counts_its_own_things():
    found = tracks(
        wandering(range(0, 100, 5), name="a"), wandering(range(200, 100, -5), name="b"), track=True
    )
    assert found == {"a": [[1]] * 20, "b": [[1]] * 20}


def test_the_time_of_a_film_is_its_own_however_fast_it_is_read():
    away = [*[100] * 5, *[255] * 20, *[100] * 5]
    found = {}
    for fps in (10.0, 40.0):
        source = wandering(away)
        source.fps = fps
        found[fps] = tracks(source, track=True)["list"][-1]
    assert found == {10.0: [2], 40.0: [1]}  # away for 2 s, for half a second


@pytest.mark.parametrize(("gap_s", "last"), [(0.5, [1]), (5.0, [2])])
def test_of_a_live_source_the_moment_of_capture_counts(gap_s, last):
    looked_at = threading.Semaphore(1)

    def frames():
        start_ns = time.monotonic_ns()
        for index in range(6):
            looked_at.acquire()  # else the newer one overtakes it
            later_s = 0.02 * index + (gap_s if index >= 3 else 0)
            at_ns = start_ns + int(later_s * 1e9)
            yield Frame(grey(100, (64, 320)), index, at_ns, "list")

    feeds, found = [Feed(ListSource(frames(), live=True))], []
    for result in predictions(feeds, detector(), Policy(track=True), threading.Event()):
        found.append(result.prediction.track_ids.tolist())
        looked_at.release()
    assert len(found) == 6
    assert found[-1] == last


def test_what_the_model_cannot_do_is_refused_before_anything_is_opened():
    bundle = detector().bundle
    check(bundle, Policy(track=True, class_thresholds={"class 1": 0.5}))
    with pytest.raises(UsageError, match="no class 'clss 1'"):
        check(bundle, Policy(class_thresholds={"clss 1": 0.5}))
    bundle.manifest.task = "classify"
    check(bundle, Policy(class_thresholds={"class 1": 0.5}))
    with pytest.raises(UsageError, match="nothing that could be tracked"):
        check(bundle, Policy(track=True))


def test_every_step_of_a_result_took_time_and_ended_after_the_capture(stream):
    for result in stream(ListSource([grey(1)] * 5)).run():
        steps = (result.decode_ns, result.prepare_ns, result.infer_ns, result.finish_ns)
        assert all(step >= 0 for step in steps)
        assert result.done_ns - result.frame.captured_ns >= sum(steps[1:])


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    count=st.integers(0, 25),
    live=st.booleans(),
    parallel=st.integers(1, 3),
    old=st.sets(st.integers(0, 25)),
    source_fails=st.none() | st.integers(0, 25),
    engine_fails=st.none() | st.integers(0, 25),
    stop_at=st.none() | st.integers(1, 10),
    frames=st.none() | st.integers(1, 30),
    corrupt=st.integers(0, 3),
    pause=st.sampled_from([0, 0.0005]),
)
@example(5, True, 1, set(), 3, 2, 1, None, 1, 0)
def test_captured_is_inferred_and_dropped_whatever_happens(
    greys, count, live, parallel, old, source_fails, engine_fails, stop_at, frames, corrupt, pause
):
    def items():
        for index in range(count):
            if index == source_fails:
                raise OSError("source")
            age_ns = HOUR_NS if index in old else 0
            yield Frame(grey(100 + index), index, time.monotonic_ns() - age_ns)

    def during(pictures):
        time.sleep(pause)
        if engine_fails is not None and pictures.max() == 100 + engine_fails:
            raise RuntimeError("engine")

    fake = FakeBackend(parallel=parallel, during=during)
    source, counters, stop = ListSource(items(), live=live), Counters(), threading.Event()
    source.dropped = {"corrupt": corrupt}
    policy = Policy(max_age_ms=HOUR_NS / 2e6, frames=frames)
    got = []
    with (
        plugged(BACKENDS, "fake", backend=fake),
        open_bundle(greys, Mode.LATENCY if live else Mode.THROUGHPUT) as opened,
        closing(predictions([Feed(source, counters)], opened, policy, stop)) as results,
    ):
        try:
            for result in results:
                got.append(result)
                if len(got) == stop_at:
                    stop.set()
        except (OSError, RuntimeError) as error:
            assert str(error) in ("source", "engine")  # noqa: PT017  it may also not fail
    assert counters.balanced
    assert counters.inferred == len(got)
    assert indexes(got) == sorted(indexes(got))
    assert said(got) == [100 + result.frame.index for result in got]
    assert not {result.frame.index for result in got} & old


moments = st.lists(st.floats(0, 100, allow_nan=False), min_size=1, max_size=80).map(sorted)


@given(moments=moments, fps=st.floats(0.01, 1000))
def test_a_rate_lets_no_more_through_than_it_says(moments, fps):
    rate = Rate(fps)
    passed = [moment for moment in moments if rate.allows(moment)]
    assert passed[0] == moments[0]
    for count, moment in enumerate(passed):
        assert count <= (moment - passed[0]) * fps + 1e-6


@given(jitter=st.lists(st.floats(-0.49, 0.49), min_size=1, max_size=80), fps=st.floats(0.1, 100))
def test_a_rate_lets_frames_pass_that_come_as_often_as_they_may_but_not_evenly(jitter, fps):
    rate = Rate(fps)
    passed = sum(rate.allows((index + late) / fps) for index, late in enumerate(jitter))
    assert passed >= len(jitter) - 1


@given(moments=moments)
def test_without_a_rate_all_pass(moments):
    rate = Rate(None)
    assert all(rate.allows(moment) for moment in moments)
