"""What is timed in each round: the engine alone, what comes before it, all of it together."""

from __future__ import annotations

import threading
import time
from contextlib import closing

from edgeresnet.core.errors import DeviceError, UsageError
from edgeresnet.core.protocols import Session
from edgeresnet.core.secrets import redact
from edgeresnet.core.tensors import Tensors
from edgeresnet.flow.intake import Feed
from edgeresnet.flow.opening import OpenBundle
from edgeresnet.flow.report import RunReport
from edgeresnet.flow.stream import Policy, predictions
from edgeresnet.metrics.throughput import Throughput
from edgeresnet.metrics.timing import Durations
from edgeresnet.sources import open_source
from edgeresnet.sources.shots import ticks
from edgeresnet.tasks import make_task

FEWEST_RESULTS = 5
"""Of an end-to-end leg, from every session."""
FIRST_FRAME_S = 15.0
_SETTLES_S = 0.5
"""Of a live leg, which begins with a camera that is just being opened."""


def one_session(
    session: Session, feeds: Tensors, seconds: float, fps: float | None = None
) -> Durations:
    """One session alone: back to back, or at the cadence of a camera of ``fps``.

    A paced engine is slower than one that never rests: caches, clocks and threads cool down.
    """
    times, never = Durations(), threading.Event()
    due = ticks(fps, never)
    end = time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        if fps:
            next(due)
            start = time.perf_counter()
        session.infer(feeds)
        times.add((time.perf_counter() - start) * 1e3)
    return times


def decode_and_prepare(opened: OpenBundle, source: str, seconds: float) -> float:
    """Core milliseconds that one frame takes before it reaches the engine."""
    manifest = opened.bundle.manifest
    task = make_task(manifest.task, manifest.preprocess, opened.bundle.labels)
    count = 0
    with open_source(source) as frames:
        end = time.perf_counter() + seconds
        start = time.process_time()
        for frame in frames:
            task.feeds(frame)
            count += 1
            if time.perf_counter() > end:
                break
    if count == 0:
        raise UsageError(f"--source {redact(source)} gave no frames")
    return (time.process_time() - start) / count * 1e3


def end_to_end(opened: OpenBundle, source: str, seconds: float) -> tuple[RunReport, float]:
    """A run of so many seconds, and the processor seconds that it took.

    It goes on until there are a few results: how long one takes is nobody's to know beforehand.
    """
    report, stop = _report_of(opened), threading.Event()
    fewest = FEWEST_RESULTS * len(opened.sessions)
    with open_source(source, stop=stop) as frames:
        feed = Feed(frames, report.counters)
        begin, end = time.process_time(), time.monotonic() + seconds
        with closing(predictions([feed], opened, Policy(), stop)) as results:
            for result in results:
                report.add(result)
                if time.monotonic() >= end and report.counters.inferred >= fewest:
                    stop.set()
        return report, time.process_time() - begin


def _report_of(opened: OpenBundle) -> RunReport:
    throughput = Throughput(len(opened.sessions))
    return RunReport(model=opened.bundle.manifest.model, throughput=throughput)


def live(opened: OpenBundle, source: str, seconds: float) -> tuple[RunReport, float]:
    """A run from a live source, and how many frames a second that gave.

    Its first half second does not count for the times. One that gives no frame in
    :data:`FIRST_FRAME_S` is a device error.
    """
    stop = threading.Event()
    report = _report_of(opened)
    with open_source(source, stop=stop) as frames:
        feed, settled = Feed(frames, report.counters), 0.0
        timer = threading.Timer(FIRST_FRAME_S, stop.set)
        timer.start()
        begin = time.monotonic()
        try:
            with closing(predictions([feed], opened, Policy(), stop)) as results:
                for result in results:
                    now = time.monotonic()
                    if not settled:
                        timer.cancel()
                        begin, settled = now, now + min(_SETTLES_S, seconds / 4)
                        timer = threading.Timer(settled - now + seconds, stop.set)
                        timer.start()
                    if now >= settled:
                        report.add(result)
        finally:
            timer.cancel()
            timer.join()
        if not settled:
            ask = getattr(frames, "health", None)
            why = ask().detail or ask().reason if ask is not None else ""
            raise DeviceError(
                f"{redact(source)} gave no frame in {FIRST_FRAME_S:g} s"
                + (f": {why}" if why else "")
            )
        told = getattr(frames, "fps", None)
        return report, told or report.counters.captured / (time.monotonic() - begin)
