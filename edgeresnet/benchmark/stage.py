"""Every leg alternating with every other, medians of the rounds."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import psutil

from edgeresnet.benchmark.beside import rates_beside
from edgeresnet.benchmark.legs import decode_and_prepare, end_to_end, live, one_session
from edgeresnet.benchmark.published import published_for
from edgeresnet.core.errors import UsageError
from edgeresnet.core.progress import Progress, silent
from edgeresnet.core.protocols import Mode
from edgeresnet.core.secrets import redact
from edgeresnet.core.target import Published
from edgeresnet.core.tensors import Tensors
from edgeresnet.flow.alternate import runs_per_second
from edgeresnet.flow.counters import Counters
from edgeresnet.flow.golden import batch_feeds
from edgeresnet.flow.memory import keep_freed_memory
from edgeresnet.flow.opening import OpenBundle, open_bundle
from edgeresnet.flow.report import STAGES, RunReport
from edgeresnet.metrics.fingerprint import fingerprint
from edgeresnet.metrics.timing import Durations
from edgeresnet.sources import open_source

ROUNDS = 5
LEGS, LIVE_LEGS = 4, 2
SYNTHETIC = "synthetic://640x480?count=0"


@dataclass(frozen=True)
class BenchmarkReport:
    """Medians over the rounds; rates in frames a second, times in milliseconds."""

    model: str
    source: str
    engine_fps: float
    """All sessions at once, nothing but the engine."""
    engine_latency: Durations
    """One session loaded for latency; at the camera's cadence where the source is live."""
    prepare_ms: float
    """Core time of decoding and fitting one frame; of a live source, of fitting alone."""
    end_to_end_fps: float
    bound_fps: float
    """What the cores allow: 1 / ((decode + prepare) / cores + 1 / engine rate)."""
    latency: Durations
    stages_ms: Mapping[str, float]
    core_ms: Mapping[str, float]
    """Where the cores' time of one frame goes: ``decode_prepare engine rest idle``."""
    frames: Counters
    """Of the end-to-end legs, the warm-up left out."""
    recompiled: int
    cores: int
    live: bool = False
    beside: Mapping[str, float] = field(default_factory=dict)
    """Rates of other programs, in the same rounds."""
    published: tuple[Published, ...] = ()
    """What others measured on a device of this kind, in this precision and batch."""

    def as_json(self) -> dict[str, Any]:
        """The benchmark report of the README."""
        data = {
            "model": self.model,
            "source": redact(self.source),
            "live": self.live,
            "frames": self.frames.as_json(),
            "engine": {
                **({} if self.live else {"fps": round(self.engine_fps, 2)}),
                "latency_ms": self.engine_latency.as_json(),
            },
            "fps": round(self.end_to_end_fps, 2),
            **({} if self.live else self._beside_bounds()),
            "decode_prepare_ms": round(self.prepare_ms, 3),
            "latency_ms": self.latency.as_json(),
            "stages_ms": dict(self.stages_ms),
            "core_ms": dict(self.core_ms),
            "recompiled": self.recompiled,
            "rss_mb": round(psutil.Process().memory_info().rss / 1e6, 1),
            "fingerprint": fingerprint(),
        }
        if self.beside:
            data["beside"] = {
                name: {
                    "fps": round(rate, 2),
                    "ours_over_it": round(self.end_to_end_fps / max(rate, 1e-9), 3),
                }
                for name, rate in self.beside.items()
            }
        if self.published:
            data["published"] = [one.model_dump(mode="json") for one in self.published]
        return data

    def _beside_bounds(self) -> dict[str, float]:
        return {
            "of_engine": round(self.end_to_end_fps / max(self.engine_fps, 1e-9), 3),
            "bound_fps": round(self.bound_fps, 2),
            "of_bound": round(self.end_to_end_fps / max(self.bound_fps, 1e-9), 3),
        }


@dataclass
class _Rounds:
    """What the rounds gave so far."""

    engine: list[float] = field(default_factory=list)
    engine_core_ms: list[float] = field(default_factory=list)
    prepare_ms: list[float] = field(default_factory=list)
    fps: list[float] = field(default_factory=list)
    core_ms: list[float] = field(default_factory=list)
    beside: dict[str, list[float]] = field(default_factory=dict)
    engine_latency: Durations = field(default_factory=Durations)
    latency: Durations = field(default_factory=Durations)
    stages: dict[str, Durations] = field(default_factory=lambda: {s: Durations() for s in STAGES})
    frames: Counters = field(default_factory=Counters)

    def add(self, report: RunReport) -> None:
        """Take in an end-to-end leg."""
        self.fps.append(report.fps)
        _merge(self.latency, report.latency)
        self.frames.include(report.counters)
        for name in STAGES:
            _merge(self.stages[name], report.stages[name])


def benchmark(
    bundle: Path | str,
    *,
    source: str = SYNTHETIC,
    seconds: float = 20.0,
    beside: Sequence[str] = (),
    progress: Progress = silent,
) -> BenchmarkReport:
    """Measure ``bundle`` for about ``seconds``, in rounds in which every leg has its turn.

    The legs: the engine alone for throughput, the engine alone for latency, decoding and fitting
    alone, and all of it end to end from ``source``. From a live source the engine for latency
    runs at the source's cadence, and the run is loaded for latency. Each command of ``beside`` has
    a turn in each round; what it takes is not part of ``seconds``. A warm-up round is not counted.
    """
    if not 0 < seconds < math.inf:
        raise UsageError(f"--seconds must be positive, got {seconds:g}")
    keep_freed_memory()
    cv2.setNumThreads(1)
    with open_source(source) as looked_at:
        is_live = looked_at.live
    legs = LIVE_LEGS if is_live else LEGS
    leg_s = max(seconds / (ROUNDS * legs), 0.2)
    with ExitStack() as stack:
        one = stack.enter_context(open_bundle(Path(bundle), Mode.LATENCY, sessions=1))
        many = one
        if not is_live:
            many = stack.enter_context(open_bundle(Path(bundle), Mode.THROUGHPUT, spare=1))
        feeds = batch_feeds(one.bundle.golden()[0][0], one.batch)
        found = _Rounds()
        for round_ in range(ROUNDS + 1):
            warm = round_ > 0
            into, span = (found, leg_s) if warm else (_Rounds(), min(leg_s, 0.3))
            if is_live:
                report, fps = live(one, source, span)
                into.add(report)
                _merge(into.engine_latency, one_session(one.sessions[0], feeds, span, fps))
            else:
                _file_round(into, one, many, source, feeds, span)
            for command in beside if warm else ():
                for name, rate in rates_beside(command).items():
                    found.beside.setdefault(name, []).append(rate)
            progress("benchmark", round_, ROUNDS)
        return _report(found, one, many, source, is_live=is_live, leg_s=leg_s)


def _file_round(
    into: _Rounds, one: OpenBundle, many: OpenBundle, source: str, feeds: Tensors, span: float
) -> None:
    """Each leg of a source that waits, once."""
    full = many.sessions[: many.engine.parallel]
    begin, begin_core = time.perf_counter(), time.process_time()
    rate = runs_per_second(full, feeds, span) * many.batch
    cores = (time.process_time() - begin_core) / (time.perf_counter() - begin)  # busy ones
    into.engine.append(rate)
    into.engine_core_ms.append(cores / rate * 1e3)
    _merge(into.engine_latency, one_session(one.sessions[0], feeds, span))
    into.prepare_ms.append(decode_and_prepare(many, source, span))
    report, core_s = end_to_end(many, source, span)
    into.add(report)
    into.core_ms.append(core_s / max(report.counters.inferred, 1) * 1e3)


def _report(
    found: _Rounds, one: OpenBundle, many: OpenBundle, source: str, *, is_live: bool, leg_s: float
) -> BenchmarkReport:
    fps = statistics.median(found.fps)
    if found.latency.total < 2 * len(many.sessions) * len(found.fps):
        raise UsageError(
            f"{redact(source)} gave too few frames to tell a rate in {leg_s:.1f} s",
            hint="more --seconds, or FILE?loop=1 for a short file",
        )
    cores = int(fingerprint()["cores"] or 1)
    if is_live:
        engine_fps = 1e3 / found.engine_latency.percentile(50)
        prepare_ms = found.stages["prepare"].percentile(50)
        core_ms = {}
    else:
        engine_fps = statistics.median(found.engine)
        prepare_ms = statistics.median(found.prepare_ms)
        core_ms = _where(
            prepare_ms,
            statistics.median(found.engine_core_ms),
            statistics.median(found.core_ms),
            cores * 1e3 / fps,
        )
    return BenchmarkReport(
        one.bundle.manifest.model,
        source,
        engine_fps,
        found.engine_latency,
        prepare_ms,
        fps,
        1 / (prepare_ms / 1e3 / cores + 1 / engine_fps),
        found.latency,
        {name: round(found.stages[name].percentile(50), 3) for name in STAGES},
        core_ms,
        found.frames,
        one.recompiled + (many.recompiled if many is not one else 0),
        cores,
        is_live,
        {name: statistics.median(rates) for name, rates in found.beside.items()},
        published_for(one.bundle.manifest, one.batch),
    )


def _where(prepare_ms: float, engine_ms: float, used_ms: float, all_ms: float) -> dict[str, float]:
    """The cores' time of one frame in parts; ``rest`` is what neither leg alone explains."""
    return {
        "decode_prepare": round(prepare_ms, 3),
        "engine": round(engine_ms, 3),
        "rest": round(used_ms - prepare_ms - engine_ms, 3),
        "idle": round(all_ms - used_ms, 3),
    }


def _merge(into: Durations, other: Durations) -> None:
    into.counts = [a + b for a, b in zip(into.counts, other.counts, strict=True)]
    into.total += other.total
    into.sum_ms += other.sum_ms
    into.max_ms = max(into.max_ms, other.max_ms)
