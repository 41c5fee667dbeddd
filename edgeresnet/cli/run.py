"""``edgeresnet run``."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from edgeresnet.cli.console import print_json, say
from edgeresnet.cli.options import PATH, shared
from edgeresnet.core.errors import UsageError

if TYPE_CHECKING:
    from edgeresnet.flow.report import RunReport
    from edgeresnet.flow.stream import Result


@click.command(
    epilog="Examples:  edgeresnet run resnet50.bundle --source camera://0   |   "
    "edgeresnet run resnet50.bundle --source clip.mp4 --sink video:out.mp4 --sink jsonl:out.jsonl"
)
@click.argument("bundle", type=PATH)
@click.option(
    "--source",
    "sources",
    required=True,
    multiple=True,
    help="camera://0, a picture, folder, glob or video, synthetic://WxH.",
)
@click.option("--sink", "sinks", multiple=True, help="jsonl:-, csv:FILE, video:FILE, images:DIR.")
@click.option("--top", type=click.IntRange(1), default=5, help="Labels a frame. [5]")
@click.option("--threshold", type=click.FloatRange(0, 1), default=0.0, help="Least score. [0]")
@click.option("--max-age", type=click.FloatRange(0), help="Drop results older than MS.")
@click.option("--fps", type=click.FloatRange(0, min_open=True), help="At most N frames a second.")
@click.option("--frames", type=click.IntRange(1), help="End after N frames.")
@shared
def command(
    bundle: Path,
    *,
    sources: tuple[str, ...],
    sinks: tuple[str, ...],
    as_json: bool,
    quiet: bool,
    debug: bool,  # noqa: ARG001
    force: bool,
    **options: Any,
) -> None:
    """Stream frames through BUNDLE until the source ends, Ctrl-C or SIGTERM."""
    from edgeresnet.flow.stream import Policy
    from edgeresnet.run.stage import check_stdout, run

    if len(sources) > 1:
        raise UsageError(
            f"--source is given {len(sources)} times, one engine takes one source so far",
            hint="start one run for each source",
        )
    check_stdout(sinks, as_json=as_json)
    policy = Policy(
        max_age_ms=options["max_age"],
        fps=options["fps"],
        frames=options["frames"],
        top=options["top"],
        threshold=options["threshold"],
    )
    stop = threading.Event()
    status = _Status(quiet=quiet, labels=not sinks and not as_json)
    with _signals(stop):
        report = run(
            bundle, sources[0], sinks, policy=policy, stop=stop, force=force, on_result=status.show
        )
    status.end()
    if as_json:
        print_json(report.as_json())
    else:
        for line in summary(report):
            say(line)


@contextmanager
def _signals(stop: threading.Event) -> Generator[None]:
    """The first Ctrl-C or SIGTERM ends the run with its summary, the second ends the process.

    The second is left to the system, which also ends what hangs in a driver.
    """

    def handle(_number: int, _frame: FrameType | None) -> None:
        stop.set()
        for number in before:
            signal.signal(number, signal.SIG_DFL)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Status:
    """A line that is rewritten on a terminal; the best label a second where nothing else shows."""

    def __init__(self, *, quiet: bool, labels: bool) -> None:
        self._live = sys.stderr.isatty() and not quiet
        self._labels = labels and not quiet
        self._next = 0.0

    def show(self, report: RunReport, result: Result) -> None:
        """Called for every result; writes at most twice a second."""
        now = time.monotonic()
        if now < self._next or not (self._live or self._labels):
            return
        self._next = now + 0.5
        best = getattr(result.prediction, "best", None)
        label = f"{best.name} {best.score:.0%}" if best is not None else ""
        counters = report.counters
        dropped = sum(counters.dropped.values())
        latency = report.latency
        line = (
            f"{label:<28.28} {report.fps:7.1f} frames/s  "
            f"p50 {latency.percentile(50):.1f} ms  p99 {latency.percentile(99):.1f} ms  "
            f"{counters.inferred} inferred  {dropped} dropped"
        )
        if self._live:
            click.echo(f"\r\x1b[2K{line}", err=True, nl=False)
        else:
            click.echo(line, err=True)

    def end(self) -> None:
        """Leave the terminal on a fresh line."""
        if self._live and self._next:
            click.echo("", err=True)


def summary(report: RunReport) -> list[str]:
    """What a run did, in two lines."""
    counters, latency = report.counters, report.latency
    dropped = sum(counters.dropped.values())
    reasons = ", ".join(f"{name} {count}" for name, count in sorted(counters.dropped.items()))
    identity = f"{counters.captured} captured = {counters.inferred} inferred + {dropped} dropped"
    times = ", ".join(f"p{n} {latency.percentile(n):.1f}" for n in (50, 90, 99))
    lines = [
        f"{identity} ({reasons})" if reasons else identity,
        f"{report.fps:.1f} frames/s; latency ms {times}, max {latency.max_ms:.1f}",
    ]
    if report.recompiled:
        lines.append(f"the engine was compiled wrongly {report.recompiled} times and redone")
    return lines
