"""Frames of one source through the sessions of one bundle, in order, all of them counted."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from edgeresnet.core.frames import Frame
from edgeresnet.core.predictions import Prediction
from edgeresnet.core.protocols import FrameSource, Session
from edgeresnet.core.tensors import Tensors
from edgeresnet.flow.counters import Counters
from edgeresnet.flow.mailbox import Mailbox
from edgeresnet.flow.opening import OpenBundle
from edgeresnet.flow.ordered import ordered
from edgeresnet.sources.shots import ticks
from edgeresnet.tasks import make_task

_HANGS_S = 2.0
"""A capture thread that takes longer to end is left behind: drivers hang, and runs must end."""


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
    source: FrameSource,
    opened: OpenBundle,
    policy: Policy,
    counters: Counters,
    stop: threading.Event,
) -> Generator[Result]:
    """Predictions in the order of the frames, until the source ends or ``stop`` is set.

    Every frame that the source gives is counted once as captured, and once as inferred or dropped
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
    try:
        with (
            _timed_frames(source, policy, counters, stop, leaving) as frames,
            closing(ordered(workers, frames)) as results,
        ):
            try:
                for result in results:
                    age_ms = (result.done_ns - result.frame.captured_ns) / 1e6
                    if policy.max_age_ms is not None and age_ms > policy.max_age_ms:
                        counters.drop("stale")
                        continue
                    counters.infer()
                    yield result
            finally:
                leaving.set()  # first: a worker may be waiting for a frame that never comes
    finally:
        counters.settle(dict(getattr(source, "dropped", {})))


class _Worker:
    """One session with a task of its own."""

    def __init__(self, session: Session, task: object, batch: int) -> None:
        self._session, self._task, self._batch = session, task, batch

    def work(self, timed: tuple[Frame, int]) -> Result:
        frame, decode_ns = timed
        start = time.perf_counter_ns()
        feeds: Tensors = self._task.feeds(frame)  # type: ignore[attr-defined]
        if self._batch > 1:
            feeds = {name: value.repeat(self._batch, axis=0) for name, value in feeds.items()}
        prepared = time.perf_counter_ns()
        outputs = self._session.infer(feeds)
        inferred = time.perf_counter_ns()
        prediction = self._task.prediction(outputs, frame)  # type: ignore[attr-defined]
        finished = time.perf_counter_ns()
        return Result(
            frame,
            prediction,
            time.monotonic_ns(),
            decode_ns,
            prepared - start,
            inferred - prepared,
            finished - inferred,
        )


@contextmanager
def _timed_frames(
    source: FrameSource,
    policy: Policy,
    counters: Counters,
    stop: threading.Event,
    leaving: threading.Event,
) -> Iterator[Iterator[tuple[Frame, int]]]:
    """Frames with the nanoseconds that each took to come out of the source."""
    captured = _captured(source, policy, counters, stop)
    if not source.live:
        yield captured
        return
    with _newest(captured, policy, counters, stop, leaving) as newest:
        yield newest


def _captured(
    source: FrameSource, policy: Policy, counters: Counters, stop: threading.Event
) -> Iterator[tuple[Frame, int]]:
    """Frames as they come; a file's at the pace of the policy, which waits before a frame is taken.

    Waiting after it would make the frame old before anyone has looked at it.
    """
    iterator = iter(source)
    due = ticks(None if source.live else policy.fps, stop)
    while policy.frames is None or counters.captured < policy.frames:
        if next(due, None) is None:
            return
        start = time.perf_counter_ns()
        try:
            frame = next(iterator)
        except StopIteration:
            return
        counters.capture()
        yield frame, time.perf_counter_ns() - start


class Rate:
    """At most ``fps`` a second from the first on; without it, all.

    A schedule, not a least distance: frames that come as often as they may, but not evenly, pass.
    """

    def __init__(self, fps: float | None) -> None:
        self._period_s = 1 / fps if fps else 0.0
        self._earliest_s: float | None = None

    def allows(self, now_s: float) -> bool:
        """Whether a frame may pass now."""
        earliest_s = now_s if self._earliest_s is None else self._earliest_s
        if now_s < earliest_s:
            return False
        self._earliest_s = max(earliest_s + self._period_s, now_s)
        return True


@contextmanager
def _newest(
    frames: Iterator[tuple[Frame, int]],
    policy: Policy,
    counters: Counters,
    stop: threading.Event,
    leaving: threading.Event,
) -> Iterator[Iterator[tuple[Frame, int]]]:
    """Capture on a thread of its own; give only the newest frame, and raise what it raised."""
    mailbox: Mailbox[tuple[Frame, int]] = Mailbox()
    failure: list[BaseException] = []

    def capture() -> None:
        rate = Rate(policy.fps)
        try:
            for timed in frames:
                if leaving.is_set():
                    return
                if not rate.allows(time.monotonic()):
                    counters.drop("rate")
                elif mailbox.put(timed) is not None:
                    counters.drop("newer")
        except BaseException as error:  # noqa: BLE001  raised again below, on the caller's thread
            failure.append(error)
        finally:
            mailbox.close()

    def take() -> Iterator[tuple[Frame, int]]:
        while not stop.is_set() and (timed := mailbox.take(stop, leaving)) is not None:
            yield timed
        if failure:
            raise failure[0]

    thread = threading.Thread(target=capture, name="capture", daemon=True)
    thread.start()
    try:
        yield take()
    finally:
        leaving.set()
        thread.join(_HANGS_S)
