"""Is INT8 worth it on this machine? Float, half precision and INT8 measured side by side."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeresnet.backends import get_backend
from edgeresnet.core.artifacts import Artifact, Graph
from edgeresnet.core.errors import ModelError, UsageError
from edgeresnet.core.frames import Frame
from edgeresnet.core.predictions import Prediction
from edgeresnet.core.progress import Progress, silent
from edgeresnet.core.protocols import Backend, Engine, Mode, Task
from edgeresnet.core.target import Options, Scheme, Target
from edgeresnet.core.tensors import Pixels, Tensors
from edgeresnet.flow.alternate import Clock, alternate, runs_per_second
from edgeresnet.flow.golden import batch_feeds, relative_error
from edgeresnet.flow.worth import INT8, Alternative, Setting, choose, explain, half_inside
from edgeresnet.metrics.accuracy import Interval
from edgeresnet.metrics.agreement import Agreement, agreement
from edgeresnet.metrics.fingerprint import fingerprint
from edgeresnet.metrics.processor import read_processor
from edgeresnet.tasks import make_task

_BLOCKS = 5


@dataclass(frozen=True)
class Advice:
    """What was measured, from the most to the least exact, and what to run."""

    alternatives: tuple[Alternative, ...]
    best: Alternative
    reason: str
    pictures: int

    @property
    def int8_pays(self) -> bool:
        """Whether INT8 is what to run."""
        return self.best.name == INT8

    def as_json(self) -> dict[str, Any]:
        """For ``--json`` and the manifest's evidence."""
        float32 = self.alternatives[0]
        return {
            "best": self.best.name,
            "reason": self.reason,
            "alternatives": [other.as_json(float32) for other in self.alternatives],
            "pictures": self.pictures,
            "rounds": len(float32.times_ms),
            "agreement_of": float32.agreement.of,
            "fingerprint": fingerprint(),
        }


@dataclass(frozen=True)
class _Built:
    """One alternative, compiled."""

    options: Options
    target: Target
    artifact: Artifact
    size_mb: float


def advise(
    float_graph: Graph,
    int8: Graph,
    target: Target,
    *,
    pictures: Sequence[Pixels],
    int8_inside: bool,
    drop: str,
    max_drop: float,
    seconds: float = 3.0,
    progress: Progress = silent,
    clock: Clock = time.perf_counter,
) -> Advice:
    """Compile, load and time both graphs on this machine, in every precision that it has.

    ``pictures`` are fitted to the network's size; 32 to 64 of the gate's do. ``int8_inside`` and
    ``drop`` are the gate's verdict on INT8 and its words; ``max_drop`` the budget in points. Takes
    about ``seconds`` for each precision, half of them on one session at a time, half on as many as
    keep the device full. Agreement (the task's own: of labels, of sure boxes, the vectors' cosine)
    and error are against float32 on the same backend.
    """
    if float_graph.scheme is not Scheme.FLOAT or int8.scheme is Scheme.FLOAT:
        raise UsageError("advice needs the float graph and the INT8 graph made of it")
    if not pictures or not 0 < seconds < math.inf:
        raise UsageError(f"advice needs pictures and time, got {len(pictures)} and {seconds:g} s")
    backend = get_backend(target.backend)
    task = make_task(float_graph.task, float_graph.preprocess, float_graph.labels)
    with tempfile.TemporaryDirectory(prefix="edgeresnet-") as scratch:
        built = _build(backend, float_graph, int8, target, Path(scratch), progress)
        half_s = seconds * len(built) / 2
        feeds = [batch_feeds(picture, float_graph.batch) for picture in pictures]
        with ExitStack() as stack:
            sessions = [e.session() for e in _loaded(stack, backend, built, Mode.LATENCY)]
            # warms up as well
            said = [_said(task, s.infer, pictures, float_graph.batch) for s in sessions]
            times = alternate(sessions, feeds, half_s, clock=clock, progress=progress)
        with ExitStack() as stack:
            engines = _loaded(stack, backend, built, Mode.THROUGHPUT)
            rates = _rates(engines, float_graph.batch, pictures, half_s, clock, progress)
    exact = said[0]
    if not exact.predictions:
        raise ModelError(f"{float_graph.path} gives values that are not finite on {backend.name}")
    alternatives = []
    for at, (name, made) in enumerate(built.items()):
        error = relative_error(said[at].signatures, exact.signatures)
        agreed = said[at].agreement(exact)
        inside = (
            int8_inside and math.isfinite(error)
            if name == INT8
            else half_inside(agreed, error, max_drop)
        )
        measured = (times[at], rates[at], made.size_mb, agreed, error)
        alternatives.append(Alternative(name, made.options, *measured, inside))
    best = choose(alternatives)
    on_processor = "CPU" in target.device.upper()
    setting = Setting(
        int8.scheme, target.scheme, target.name, read_processor() if on_processor else None, drop
    )
    return Advice(tuple(alternatives), best, explain(alternatives, best, setting), len(pictures))


@dataclass(frozen=True)
class _Said:
    """What one alternative says of each picture."""

    signatures: npt.NDArray[np.float32]
    predictions: tuple[Prediction, ...]
    """Empty where a signature is not finite: then nothing can be made of the outputs."""

    def agreement(self, exact: _Said) -> Agreement:
        """With ``exact``; no per cent when nothing can be made of the outputs."""
        if self.predictions:
            return agreement(exact.predictions, self.predictions)
        alike = agreement(exact.predictions, exact.predictions)
        return replace(alike, percent=Interval(0.0, 0.0, 0.0))


def _said(
    task: Task,
    infer: Callable[[Tensors], Tensors],
    pictures: Sequence[Pixels],
    batch: int,
) -> _Said:
    """Copied, since a session may write its next result over its last."""
    signatures: list[npt.NDArray[np.float32]] = []
    predictions: list[Prediction] = []
    for picture in pictures:
        outputs = infer(batch_feeds(picture, batch))
        signatures.append(np.array(task.signature(outputs)))
        if np.isfinite(signatures[-1]).all():
            predictions.append(task.prediction(outputs, Frame(picture, len(predictions), 0)))
    finite = len(predictions) == len(pictures)
    return _Said(np.stack(signatures), tuple(predictions) if finite else ())


def _build(
    backend: Backend,
    float_graph: Graph,
    int8: Graph,
    target: Target,
    scratch: Path,
    progress: Progress,
) -> Mapping[str, _Built]:
    floats = {name: (float_graph, options) for name, options in backend.precisions(target).items()}
    wanted: dict[str, tuple[Graph, Options]] = {**floats, INT8: (int8, {})}
    built = {}
    for done, (name, (graph, options)) in enumerate(wanted.items()):
        progress("compile", done, len(wanted))
        folder = scratch / name
        folder.mkdir()
        chosen = target.with_options(options)
        artifact = backend.compile(graph, chosen, folder)
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        built[name] = _Built(options, chosen, artifact, size / 1e6)
    progress("compile", len(wanted), len(wanted))
    return built


def _loaded(
    stack: ExitStack, backend: Backend, built: Mapping[str, _Built], mode: Mode
) -> list[Engine]:
    return [
        stack.enter_context(backend.load(made.artifact, made.target, mode, None))
        for made in built.values()
    ]


def _rates(
    engines: Sequence[Engine],
    batch: int,
    pictures: Sequence[Pixels],
    seconds: float,
    clock: Clock,
    progress: Progress,
) -> list[float]:
    """Pictures a second of each engine: the median of blocks in which each has its turn."""
    feeds = batch_feeds(pictures[0], batch)
    pools = [[engine.session() for _ in range(engine.parallel)] for engine in engines]
    for session in (session for pool in pools for session in pool):
        session.infer(feeds)
    span = seconds / _BLOCKS / len(engines)
    rates: list[list[float]] = []
    for block in range(_BLOCKS):
        progress("throughput", block, _BLOCKS)
        rates.append([batch * runs_per_second(pool, feeds, span, clock=clock) for pool in pools])
    progress("throughput", _BLOCKS, _BLOCKS)
    return [float(rate) for rate in np.median(rates, axis=0)]
