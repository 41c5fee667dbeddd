"""Frames of all sources through the sessions of one bundle, in order, all of them counted."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass

from edgeresnet.core.frames import Frame
from edgeresnet.core.predictions import Prediction
from edgeresnet.core.protocols import Session
from edgeresnet.core.tensors import Tensors
from edgeresnet.flow.intake import Feed, Intake, Taken
from edgeresnet.flow.opening import OpenBundle
from edgeresnet.flow.ordered import ordered
from edgeresnet.tasks import make_task


@dataclass(frozen=True)
class Policy:
    """Which frames are worth a prediction."""

    max_age_ms: float | None = None
    """Drop a frame that is older when its prediction is ready."""
    fps: float | None = None
    """At most so many frames a second: a live source's others are dropped, a file waits."""
    frames: int | None = None
    """End after so many captured frames."""
    top: int = 5
    threshold: float = 0.0


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
    bundle = opened.bundle
    workers = [
        _Worker(
            session,
            make_task(
                bundle.manifest.task,
                bundle.manifest.preprocess,
                bundle.labels,
                top=policy.top,
                threshold=policy.threshold,
            ),
            opened.batch,
        ).work
        for session in opened.sessions
    ]
    leaving = threading.Event()
    intake = Intake(feeds, fps=policy.fps, frames=policy.frames, stop=stop, leaving=leaving)
    try:
        taken = ordered(workers, iter(intake), leave=leaving.set)
        with intake.capturing(), closing(taken) as results:
            for feed, result in results:
                age_ms = (result.done_ns - result.frame.captured_ns) / 1e6
                if policy.max_age_ms is not None and age_ms > policy.max_age_ms:
                    feed.counters.drop("stale")
                    continue
                feed.counters.infer()
                yield result
    finally:
        for feed in feeds:
            feed.counters.settle(dict(getattr(feed.source, "dropped", {})))


class _Worker:
    """One session with a task of its own."""

    def __init__(self, session: Session, task: object, batch: int) -> None:
        self._session, self._task, self._batch = session, task, batch

    def work(self, taken: Taken) -> tuple[Feed, Result]:
        feed, frame, decode_ns = taken
        start = time.perf_counter_ns()
        feeds: Tensors = self._task.feeds(frame)  # type: ignore[attr-defined]
        if self._batch > 1:
            feeds = {name: value.repeat(self._batch, axis=0) for name, value in feeds.items()}
        prepared = time.perf_counter_ns()
        outputs = self._session.infer(feeds)
        inferred = time.perf_counter_ns()
        prediction = self._task.prediction(outputs, frame)  # type: ignore[attr-defined]
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
