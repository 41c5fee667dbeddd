"""Frames of all sources through the sessions of one bundle, in order, all of them counted."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace

from edgeresnet.core.bundle import Bundle
from edgeresnet.core.frames import Frame
from edgeresnet.core.predictions import Prediction
from edgeresnet.core.protocols import Session, Task
from edgeresnet.core.tensors import Tensors
from edgeresnet.flow.intake import Feed, Intake, Taken
from edgeresnet.flow.opening import OpenBundle
from edgeresnet.flow.ordered import ordered
from edgeresnet.tasks import Follower, make_follower, make_task

_FILM_FPS = 25.0
"""Of a source of pictures, or of a film that does not say."""


@dataclass(frozen=True)
class Policy:
    """Which frames are worth a prediction."""

    max_age_ms: float | None = None
    """Drop a frame that is older when its prediction is ready."""
    fps: float | None = None
    """At most so many frames a second: a live source's others are dropped, a file waits."""
    frames: int | None = None
    """End after so many captured frames."""
    top: int | None = None
    """Labels or boxes at most; None is the task's own number."""
    threshold: float | None = None
    """Least score; None is the task's own."""
    class_thresholds: Mapping[str, float] = field(default_factory=dict)
    """Least score of single classes, by name."""
    track: bool = False
    """Give the same thing the same id in every frame of its source."""


@dataclass(frozen=True)
class Result:
    """One frame's prediction, and the nanoseconds that each step took."""

    frame: Frame
    prediction: Prediction
    done_ns: int
    decode_ns: int
    prepare_ns: int
    infer_ns: int
    finish_ns: int


def predictions(
    feeds: Sequence[Feed], opened: OpenBundle, policy: Policy, stop: threading.Event
) -> Generator[Result]:
    """Predictions in the order of the frames, until all sources ended or ``stop`` is set.

    Every frame that a source gives is counted once as captured, and once as inferred or dropped
    when the iterator has ended.
    """
    tracked = feeds if policy.track else ()
    followers = {feed: _follower(opened.bundle, policy) for feed in tracked}
    workers = [
        _Worker(session, _task(opened.bundle, policy), opened.batch).work
        for session in opened.sessions
    ]
    leaving = threading.Event()
    intake = Intake(feeds, fps=policy.fps, frames=policy.frames, stop=stop, leaving=leaving)
    try:
        taken = ordered(workers, iter(intake), leave=leaving.set)
        with intake.capturing(), closing(taken) as results:
            for feed, worked in results:
                follower = followers.get(feed)
                result = _followed(feed, worked, follower) if follower else worked
                age_ms = (result.done_ns - result.frame.captured_ns) / 1e6
                if policy.max_age_ms is not None and age_ms > policy.max_age_ms:
                    feed.counters.drop("stale")
                    continue
                feed.counters.infer()
                yield result
    finally:
        for feed in feeds:
            feed.counters.settle(dict(getattr(feed.source, "dropped", {})))


def check(bundle: Bundle, policy: Policy) -> None:
    """Refuse what ``bundle`` cannot do, before anything takes its time."""
    _task(bundle, policy)
    if policy.track:
        _follower(bundle, policy)


def _task(bundle: Bundle, policy: Policy) -> Task:
    manifest = bundle.manifest
    return make_task(
        manifest.task,
        manifest.preprocess,
        bundle.labels,
        top=policy.top,
        threshold=policy.threshold,
        of_classes=policy.class_thresholds,
        tracked=policy.track,
    )


def _follower(bundle: Bundle, policy: Policy) -> Follower:
    return make_follower(
        bundle.manifest.task,
        bundle.labels,
        top=policy.top,
        threshold=policy.threshold,
        of_classes=policy.class_thresholds,
    )


def _followed(feed: Feed, result: Result, follower: Follower) -> Result:
    """With tracks; the time of a file's frames is the film's, however fast it is read."""
    start = time.perf_counter_ns()
    frame = result.frame
    fps = getattr(feed.source, "fps", None) or _FILM_FPS
    moment_s = frame.captured_ns / 1e9 if feed.source.live else frame.index / fps
    prediction = follower.follow(result.prediction, moment_s)
    took_ns = time.perf_counter_ns() - start
    return replace(
        result,
        prediction=prediction,
        done_ns=time.monotonic_ns(),
        finish_ns=result.finish_ns + took_ns,
    )


class _Worker:
    """One session with a task of its own."""

    def __init__(self, session: Session, task: Task, batch: int) -> None:
        self._session, self._task, self._batch = session, task, batch

    def work(self, taken: Taken) -> tuple[Feed, Result]:
        feed, frame, decode_ns = taken
        start = time.perf_counter_ns()
        feeds: Tensors = self._task.feeds(frame)
        if self._batch > 1:
            feeds = {name: value.repeat(self._batch, axis=0) for name, value in feeds.items()}
        prepared = time.perf_counter_ns()
        outputs = self._session.infer(feeds)
        inferred = time.perf_counter_ns()
        prediction = self._task.prediction(outputs, frame)
        finished = time.perf_counter_ns()
        return feed, Result(
            frame,
            prediction,
            time.monotonic_ns(),
            decode_ns,
            prepared - start,
            inferred - prepared,
            finished - inferred,
        )
