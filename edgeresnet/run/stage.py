"""Wire one source, one bundle and its sinks together, and say what happened."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import cv2

from edgeresnet.core.bundle import read_bundle
from edgeresnet.core.errors import UsageError
from edgeresnet.core.protocols import Mode
from edgeresnet.flow.memory import keep_freed_memory
from edgeresnet.flow.opening import open_bundle
from edgeresnet.flow.report import RunReport
from edgeresnet.flow.stream import Policy, Result, predictions
from edgeresnet.sinks import open_sink, writes_stdout
from edgeresnet.sources import open_source


def run(
    bundle: Path | str,
    source: str,
    sinks: Sequence[str] = (),
    *,
    policy: Policy | None = None,
    stop: threading.Event | None = None,
    force: bool = False,
    on_result: Callable[[RunReport, Result], None] = lambda _report, _result: None,
) -> RunReport:
    """Stream ``source`` through ``bundle`` into ``sinks``, all given as URIs.

    Live sources are loaded for latency and lose frames that a newer one overtakes; files are
    loaded for throughput and lose none. Setting ``stop`` ends the run with its report.
    """
    stop = stop or threading.Event()
    policy = policy or Policy()
    keep_freed_memory()
    cv2.setNumThreads(1)  # the engine and the workers fill the cores; a third pool only fights
    verified = read_bundle(Path(bundle))
    with ExitStack() as stack:
        frames = stack.enter_context(open_source(source, stop=stop))
        mode = Mode.LATENCY if frames.live else Mode.THROUGHPUT
        opened = stack.enter_context(open_bundle(verified, mode, spare=0 if frames.live else 1))
        manifest = opened.bundle.manifest
        opened_sinks = [
            stack.enter_context(
                open_sink(sink, model=manifest.model, fps=getattr(frames, "fps", None), force=force)
            )
            for sink in sinks
        ]
        report = RunReport(model=manifest.model, recompiled=opened.recompiled)
        # closed before the sinks, the engine and the source, also when a sink fails
        results = stack.enter_context(
            closing(predictions(frames, opened, policy, report.counters, stop))
        )
        for result in results:
            report.add(result)
            for sink in opened_sinks:
                sink.put(result.frame, result.prediction)
            on_result(report, result)
    return report


def check_stdout(sinks: Sequence[str], *, as_json: bool) -> None:
    """``--json`` and a sink cannot both write to stdout."""
    taken = [sink for sink in sinks if writes_stdout(sink)]
    if len(taken) > 1 or (taken and as_json):
        raise UsageError(
            f"--sink {taken[0]} and {'--json' if as_json else taken[1]} both write to stdout",
            hint="give the sink a file, as in jsonl:predictions.jsonl",
        )
