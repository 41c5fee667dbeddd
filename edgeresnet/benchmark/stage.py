"""Every leg alternating with every other, medians of the rounds."""

from __future__ import annotations

import math
import statistics
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import psutil

from edgeresnet.core.errors import UsageError
from edgeresnet.core.progress import Progress, silent
from edgeresnet.core.protocols import Mode, Session
from edgeresnet.core.tensors import Tensors
from edgeresnet.flow.alternate import runs_per_second
from edgeresnet.flow.counters import Counters
from edgeresnet.flow.golden import batch_feeds
from edgeresnet.flow.intake import Feed
from edgeresnet.flow.memory import keep_freed_memory
from edgeresnet.flow.opening import OpenBundle, open_bundle
from edgeresnet.flow.report import STAGES, RunReport
from edgeresnet.flow.stream import Policy, predictions
from edgeresnet.metrics.fingerprint import fingerprint
from edgeresnet.metrics.timing import Durations
from edgeresnet.sources import open_source
from edgeresnet.tasks import make_task

ROUNDS = 5
LEGS = 4
SYNTHETIC = "synthetic://640x480?count=0"


@dataclass(frozen=True)
class BenchmarkReport:
    """Medians over the rounds; rates in frames a second, times in milliseconds."""

    model: str
    source: str
    engine_fps: float
    """All sessions at once, nothing but the engine."""
    engine_latency: Durations
    """One session loaded for latency, back to back."""
    prepare_ms: float
    """Core time of decoding and fitting one frame."""
    end_to_end_fps: float
    bound_fps: float
    """What the cores allow: 1 / ((decode + prepare) / cores + 1 / engine rate)."""
    latency: Durations
    stages_ms: Mapping[str, float]
    frames: Counters
    """Of the end-to-end legs, the warm-up left out."""
    recompiled: int
    cores: int

    def as_json(self) -> dict[str, Any]:
        """The benchmark report of the README."""
        return {
            "model": self.model,
            "source": self.source,
            "frames": self.frames.as_json(),
            "engine": {
                "fps": round(self.engine_fps, 2),
                "latency_ms": self.engine_latency.as_json(),
            },
            "fps": round(self.end_to_end_fps, 2),
            "of_engine": round(self.end_to_end_fps / max(self.engine_fps, 1e-9), 3),
            "bound_fps": round(self.bound_fps, 2),
            "of_bound": round(self.end_to_end_fps / max(self.bound_fps, 1e-9), 3),
            "decode_prepare_ms": round(self.prepare_ms, 3),
            "latency_ms": self.latency.as_json(),
            "stages_ms": dict(self.stages_ms),
            "recompiled": self.recompiled,
            "rss_mb": round(psutil.Process().memory_info().rss / 1e6, 1),
            "fingerprint": fingerprint(),
        }


def benchmark(
    bundle: Path | str,
    *,
    source: str = SYNTHETIC,
    seconds: float = 20.0,
    progress: Progress = silent,
) -> BenchmarkReport:
    """Measure ``bundle`` for about ``seconds``, in rounds in which every leg has its turn.

    The legs: the engine alone for throughput, the engine alone for latency, decoding and fitting
    alone, and all of it end to end from ``source``. A warm-up round is not counted.
    """
    if not 0 < seconds < math.inf:
        raise UsageError(f"--seconds must be positive, got {seconds:g}")
    keep_freed_memory()
    cv2.setNumThreads(1)
    leg_s = max(seconds / (ROUNDS * LEGS), 0.2)
    with ExitStack() as stack:
        many = stack.enter_context(open_bundle(Path(bundle), Mode.THROUGHPUT, spare=1))
        one = stack.enter_context(open_bundle(Path(bundle), Mode.LATENCY, sessions=1))
        feeds = batch_feeds(many.bundle.golden()[0][0], many.batch)
        engine_rates, prepare_ms, rates = [], [], []
        engine_latency, latency = Durations(), Durations()
        stages, frames = {name: Durations() for name in STAGES}, Counters()
        for round_ in range(ROUNDS + 1):
            warm = round_ > 0
            span = leg_s if warm else min(leg_s, 0.3)
            full = many.sessions[: many.engine.parallel]
            engine_rate = runs_per_second(full, feeds, span) * many.batch
            times = _one_session(one.sessions[0], feeds, span)
            core_ms = _decode_and_prepare(many, source, span)
            report = _end_to_end(many, source, span)
            progress("benchmark", round_, ROUNDS)
            if not warm:
                continue
            engine_rates.append(engine_rate)
            prepare_ms.append(core_ms)
            rates.append(report.fps)
            _merge(engine_latency, times)
            _merge(latency, report.latency)
            frames.include(report.counters)
            for name in STAGES:
                _merge(stages[name], report.stages[name])
        if not statistics.median(rates):
            raise UsageError(
                f"{source} gave too few frames to tell a rate in {leg_s:.1f} s",
                hint="more --seconds, or FILE?loop=1 for a short file",
            )
        cores = int(fingerprint()["cores"] or 1)
        engine_fps, core_ms = statistics.median(engine_rates), statistics.median(prepare_ms)
        return BenchmarkReport(
            many.bundle.manifest.model,
            source,
            engine_fps,
            engine_latency,
            core_ms,
            statistics.median(rates),
            1 / (core_ms / 1e3 / cores + 1 / engine_fps),
            latency,
            {name: round(stages[name].percentile(50), 3) for name in STAGES},
            frames,
            many.recompiled + one.recompiled,
            cores,
        )


def _one_session(session: Session, feeds: Tensors, seconds: float) -> Durations:
    times = Durations()
    end = time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        session.infer(feeds)
        times.add((time.perf_counter() - start) * 1e3)
    return times


def _decode_and_prepare(opened: OpenBundle, source: str, seconds: float) -> float:
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
        raise UsageError(f"--source {source} gave no frames")
    return (time.process_time() - start) / count * 1e3


def _end_to_end(opened: OpenBundle, source: str, seconds: float) -> RunReport:
    report, stop = RunReport(model=opened.bundle.manifest.model), threading.Event()
    timer = threading.Timer(seconds, stop.set)
    with open_source(source, stop=stop) as frames:
        timer.start()
        try:
            with closing(
                predictions([Feed(frames, report.counters)], opened, Policy(), stop)
            ) as results:
                for result in results:
                    report.add(result)
        finally:
            timer.cancel()
            timer.join()
    return report


def _merge(into: Durations, other: Durations) -> None:
    into.counts = [a + b for a, b in zip(into.counts, other.counts, strict=True)]
    into.total += other.total
    into.sum_ms += other.sum_ms
    into.max_ms = max(into.max_ms, other.max_ms)


def compare(now: Mapping[str, Any], before: Mapping[str, Any]) -> list[tuple[str, float, float]]:
    """Rows of (figure, before, now) that two benchmark reports share."""
    rows = []
    for name, path in {
        "end to end, frames/s": ("fps",),
        "engine, frames/s": ("engine", "fps"),
        "engine p50, ms": ("engine", "latency_ms", "p50"),
        "latency p50, ms": ("latency_ms", "p50"),
        "latency p99, ms": ("latency_ms", "p99"),
    }.items():
        values = []
        for report in (before, now):
            value: Any = report
            for key in path:
                value = value.get(key) if isinstance(value, Mapping) else None
            values.append(value)
        if all(isinstance(value, (int, float)) for value in values):
            rows.append((name, float(values[0]), float(values[1])))
    return rows
