"""Wire sources, one bundle and its sinks together, and say what happened."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import (
    AbstractContextManager,
    ExitStack,
    closing,
    contextmanager,
    nullcontext,
    suppress,
)
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TypeAlias

import cv2

from edgeresnet.core.bundle import read_bundle
from edgeresnet.core.errors import DeviceError, UsageError
from edgeresnet.core.progress import Progress, StoppedError, silent, until_stopped
from edgeresnet.core.protocols import Mode
from edgeresnet.core.status import RunStatus
from edgeresnet.flow.counters import Counters
from edgeresnet.flow.intake import Feed
from edgeresnet.flow.meanwhile import open_meanwhile
from edgeresnet.flow.memory import keep_freed_memory
from edgeresnet.flow.opening import open_bundle
from edgeresnet.flow.outlet import Outlet
from edgeresnet.flow.report import RunReport
from edgeresnet.flow.stream import Policy, Result, check, predictions
from edgeresnet.flow.watch import Watch
from edgeresnet.metrics.throughput import Throughput
from edgeresnet.run.outlets import open_outlets
from edgeresnet.sinks import open_sink, writes_stdout
from edgeresnet.sinks.lines import Lines
from edgeresnet.sources import open_source
from edgeresnet.sources.shots import Loss

Watcher: TypeAlias = Callable[[Callable[[], RunStatus]], AbstractContextManager[object]]
"""Gets the function that tells how the run is doing; entered while it runs."""


def run(
    bundle: Path | str,
    sources: str | Sequence[str],
    sinks: Sequence[str] = (),
    *,
    policy: Policy | None = None,
    stop: threading.Event | None = None,
    force: bool = False,
    errors: Path | None = None,
    strict: bool = False,
    while_building: str | None = None,
    progress: Progress = silent,
    on_result: Callable[[RunReport, Result], None] = lambda _report, _result: None,
    watcher: Watcher = lambda _status: nullcontext(),
) -> RunReport:
    """Stream ``sources`` through ``bundle`` into ``sinks``, all given as URIs.

    A live source loses frames that a newer one overtakes, and alone is loaded for latency; files,
    and several sources, are loaded for throughput, and files lose none. Setting ``stop`` ends the
    run with its report. Each picture or frame of a file that cannot be read is a line of
    ``errors``; with ``strict`` one of them is a device error, once all the others are done. A sink
    that fails in a run that has only files gets nothing more, and what it raised is raised when
    the others have had everything. ``while_building`` names the backend that serves while the
    device builds its engine, of which ``progress`` hears.
    """
    stop, policy = stop or threading.Event(), policy or Policy()
    told = until_stopped(progress, stop)
    texts = [sources] if isinstance(sources, str) else list(sources)
    keep_freed_memory()
    cv2.setNumThreads(1)  # the engine and the workers fill the cores; a third pool only fights
    verified = read_bundle(Path(bundle))
    check(verified, policy)
    report = RunReport()
    with suppress(StoppedError), ExitStack() as stack:  # stopped while its engine was built
        lost = stack.enter_context(_losses(errors))
        opened_sources = [
            stack.enter_context(open_source(text, index=index, stop=stop, on_loss=lost))
            for index, text in enumerate(texts)
        ]
        report.feeds = tuple(Feed(one, Counters(total=report.counters)) for one in opened_sources)
        _check_names(report.feeds)
        any_live = any(one.live for one in opened_sources)
        alone = len(opened_sources) == 1 and any_live
        mode, spare = Mode.LATENCY if alone else Mode.THROUGHPUT, 0 if any_live else 1
        opened = stack.enter_context(
            open_meanwhile(verified, mode, while_building, spare=spare, progress=told)
            if while_building
            else open_bundle(verified, mode, spare=spare, progress=told)
        )
        report.model, report.recompiled = opened.bundle.manifest.model, opened.recompiled
        report.handover, report.throughput = opened.handover, Throughput(len(opened.sessions))
        watch = Watch(report)
        fps = None if any_live else getattr(opened_sources[0], "fps", None)
        open_one = partial(open_sink, model=report.model, fps=fps, force=force, status=watch.status)
        report.sinks = stack.enter_context(open_outlets(sinks, open_one, live=any_live, stop=stop))
        stack.enter_context(watcher(watch.status))
        # closed before the sinks, the engine and the sources, also when a sink fails
        results = stack.enter_context(closing(predictions(report.feeds, opened, policy, stop)))
        for result in results:
            report.add(result)
            _hand_out(result, report.sinks)
            on_result(report, result)
            if _nobody_listens(report.sinks):
                break
    for outlet in report.sinks:
        if outlet.error is not None:
            raise outlet.error
    unread = sum(report.counters.dropped.get(reason, 0) for reason in ("unreadable", "corrupt"))
    if strict and unread:
        raise DeviceError(
            f"{unread} of {report.counters.captured} pictures or frames could not be read",
            hint="which ones, with --errors FILE.jsonl; without --strict they are only counted",
        )
    return report


@contextmanager
def _losses(path: Path | None) -> Generator[Callable[[Loss], None] | None]:
    """Writes a line for each loss."""
    if path is None:
        yield None
        return
    with closing(Lines(str(path))) as lines:
        yield lambda loss: lines.write(json.dumps(asdict(loss), ensure_ascii=False))


def _hand_out(result: Result, sinks: Sequence[Outlet]) -> None:
    """Give a result to every sink; pixels only to those that look at them."""
    facts = None
    for sink in sinks:
        if sink.pixels:
            sink.put(result.frame, result.prediction)
            continue
        facts = facts or result.frame.without_pixels()
        sink.put(facts, result.prediction)


def _nobody_listens(sinks: Sequence[Outlet]) -> bool:
    """Whether to end: no sink takes anything, or a reader had enough, as ``head`` does."""
    failed = [sink.error for sink in sinks if sink.error is not None]
    return bool(failed) and (
        len(failed) == len(sinks) or any(isinstance(error, BrokenPipeError) for error in failed)
    )


def _check_names(feeds: Sequence[Feed]) -> None:
    names = [feed.name for feed in feeds]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(
                f"two sources are called {name!r}", hint="give one another name: ?as=NAME"
            )


def check_stdout(sinks: Sequence[str], *, as_json: bool) -> None:
    """``--json`` and a sink cannot both write to stdout."""
    taken = [sink for sink in sinks if writes_stdout(sink)]
    if len(taken) > 1 or (taken and as_json):
        raise UsageError(
            f"--sink {taken[0]} and {'--json' if as_json else taken[1]} both write to stdout",
            hint="give the sink a file, as in jsonl:predictions.jsonl",
        )
