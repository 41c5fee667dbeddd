"""``edgeresnet run``."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from edgeresnet.cli.console import print_json, say
from edgeresnet.cli.options import PATH, shared
from edgeresnet.core.errors import EdgeError, UsageError

if TYPE_CHECKING:
    from edgeresnet.core.status import RunStatus
    from edgeresnet.flow.report import RunReport
    from edgeresnet.flow.stream import Result
    from edgeresnet.run.config import App


@click.command(
    epilog="Examples:  edgeresnet run resnet50.bundle --source camera://0 --sink web:8080   |   "
    "edgeresnet run resnet50.bundle --source clip.mp4 --sink video:out.mp4 --sink jsonl:out.jsonl "
    "  |   edgeresnet run app.toml"
)
@click.argument("bundle", type=PATH, metavar="BUNDLE|APP.toml")
@click.option(
    "--source",
    "sources",
    multiple=True,
    help="camera://0, rtsp://…, http://…, csi://0, a picture, folder, glob or video, "
    "synthetic://WxH; may repeat.",
)
@click.option(
    "--sink",
    "sinks",
    multiple=True,
    help="jsonl:-, csv:FILE, video:FILE, images:DIR, web:PORT, mqtt://HOST/TOPIC, webhook:URL; "
    "may repeat.",
)
@click.option("--top", type=click.IntRange(1), help="Labels a frame. [5]")
@click.option("--threshold", type=click.FloatRange(0, 1), help="Least score. [0]")
@click.option("--max-age", type=click.FloatRange(0), help="Drop results older than MS.")
@click.option(
    "--fps", type=click.FloatRange(0, min_open=True), help="At most N frames a second and source."
)
@click.option("--frames", type=click.IntRange(1), help="End after N frames.")
@click.option(
    "--require-source", is_flag=True, help="Exit 6 when no source has given a frame after 10 s."
)
@click.option(
    "--errors", type=PATH, help="A line of JSON for each picture or frame that cannot be read."
)
@click.option("--strict", is_flag=True, help="Exit 6 in the end when one could not be read.")
@shared
def command(
    bundle: Path,
    *,
    sources: tuple[str, ...],
    sinks: tuple[str, ...],
    require_source: bool,
    errors: Path | None,
    strict: bool,
    as_json: bool,
    quiet: bool,
    debug: bool,  # noqa: ARG001
    force: bool,
    **options: Any,
) -> None:
    """Stream frames through BUNDLE until the sources end, Ctrl-C or SIGTERM."""
    from edgeresnet.run.notify import Notifier
    from edgeresnet.run.stage import check_stdout, run

    def wanted() -> App:
        return _wanted(bundle, sources, sinks, options)

    app = wanted()
    check_stdout(app.sinks, as_json=as_json)
    notifier = Notifier()
    while True:
        ends = _Ends(wanted if bundle.suffix == ".toml" else None)
        status = _Label(quiet=quiet, labels=not app.sinks and not as_json)
        with ends.handled():
            report = run(
                app.bundle,
                app.sources,
                app.sinks,
                policy=app.policy,
                stop=ends.stop,
                force=force,
                errors=errors,
                strict=strict,
                on_result=status.show,
                watcher=_watcher(notifier, status, ends, quiet=quiet, require=require_source),
            )
        if ends.error is not None:
            raise ends.error
        if ends.reloaded is None:
            break
        app = ends.reloaded
        check_stdout(app.sinks, as_json=as_json)
        for line in summary(report):
            say(line, quiet=quiet)
        say(f"{bundle} was read again")
    if as_json:
        print_json(report.as_json())
    else:
        for line in summary(report):
            say(line)


def _wanted(
    bundle: Path, sources: tuple[str, ...], sinks: tuple[str, ...], options: dict[str, Any]
) -> App:
    """What the command line and, where it names one, the configuration file ask for."""
    from edgeresnet.flow.stream import Policy
    from edgeresnet.run.config import App, read_app

    app = read_app(bundle) if bundle.suffix == ".toml" else App(bundle, (), (), Policy())
    told = {
        "top": options["top"],
        "threshold": options["threshold"],
        "max_age_ms": options["max_age"],
        "fps": options["fps"],
        "frames": options["frames"],
    }
    given = {key: value for key, value in told.items() if value is not None}
    app = replace(
        app,
        sources=sources or app.sources,
        sinks=sinks or app.sinks,
        policy=replace(app.policy, **given),
    )
    if not app.sources:
        raise UsageError(
            "run needs a --source", hint="--source camera://0, --source clip.mp4, --source rtsp://…"
        )
    return app


def _watcher(
    notifier: Any, label: _Label, ends: _Ends, *, quiet: bool, require: bool
) -> Callable[[Callable[[], RunStatus]], AbstractContextManager[None]]:
    from edgeresnet.cli.watching import watching

    @contextmanager
    def watch(status: Callable[[], RunStatus]) -> Generator[None]:
        notifier.ready()
        timer = threading.Timer(_REQUIRED_S, ends.check_source, (status,)) if require else None
        if timer is not None:
            timer.daemon = True
            timer.start()
        with watching(status, notifier, label.text, quiet=quiet):
            try:
                yield
            finally:
                if ends.reloaded is None:
                    notifier.stopping()
                else:
                    notifier.reloading()
                if timer is not None:
                    timer.cancel()

    return watch


_REQUIRED_S = 10.0


class _Ends:
    """What ends a run before its sources do: a signal, or a source that was required."""

    def __init__(self, read_again: Callable[[], App] | None) -> None:
        self.stop = threading.Event()
        self.reloaded: App | None = None
        self.error: EdgeError | None = None
        self._read_again = read_again

    @contextmanager
    def handled(self) -> Generator[None]:
        """The first Ctrl-C or SIGTERM ends the run with its summary, the second the process.

        The second is left to the system, which also ends what hangs in a driver. SIGHUP reads the
        configuration again; a bad one is told, and the run goes on as it was.
        """
        ending = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self._end) for number in ending}
        if self._read_again is not None:
            before[signal.SIGHUP] = signal.signal(signal.SIGHUP, self._reload)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        self.stop.set()
        self.reloaded = None
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)

    def _reload(self, _number: int, _frame: FrameType | None) -> None:
        assert self._read_again is not None
        try:
            self.reloaded = self._read_again()
        except EdgeError as error:
            say(f"not reloaded, the run goes on as it was: {error}")
        else:
            self.stop.set()

    def check_source(self, status: Callable[[], RunStatus]) -> None:
        """End the run with an error when no source has given a frame."""
        now = status()
        if now.frames.captured + now.frames.in_flight:
            return
        from edgeresnet.core.errors import DeviceError

        found = "; ".join(
            f"{one.name}: {one.health.detail or one.health.state}" for one in now.sources
        )
        self.error = DeviceError(f"no source gave a frame in {_REQUIRED_S:.0f} s: {found}")
        self.stop.set()


class _Label:
    """The best label of the newest result; a line of its own where nothing else shows it."""

    def __init__(self, *, quiet: bool, labels: bool) -> None:
        self._lines = labels and not quiet and not sys.stderr.isatty()
        self._next = 0.0
        self._best = ""

    def show(self, report: RunReport, result: Result) -> None:
        """Called for every result; writes at most twice a second."""
        best = getattr(result.prediction, "best", None)
        self._best = f"{best.name} {best.score:.0%}" if best is not None else ""
        now = time.monotonic()
        if now < self._next or not self._lines:
            return
        self._next = now + 0.5
        counters, latency = report.counters, report.latency
        click.echo(
            f"{self.text()}{report.fps:7.1f} frames/s  "
            f"p50 {latency.percentile(50):.1f} ms  p99 {latency.percentile(99):.1f} ms  "
            f"{counters.inferred} inferred  {sum(counters.dropped.values())} dropped",
            err=True,
        )

    def text(self) -> str:
        """The label in a column of its own."""
        return f"{self._best:<28.28} " if self._best else ""


def summary(report: RunReport) -> list[str]:
    """What a run did: the identity, the times, each source of several, and what sinks lost."""
    counters, latency = report.counters, report.latency
    times = ", ".join(f"p{n} {latency.percentile(n):.1f}" for n in (50, 90, 99))
    lines = [
        _identity(counters),
        f"{report.fps:.1f} frames/s; latency ms {times}, max {latency.max_ms:.1f}",
    ]
    if len(report.feeds) > 1:
        lines += [f"  {feed.name}: {_identity(feed.counters)}" for feed in report.feeds]
    for sink in (outlet.status() for outlet in report.sinks):
        if sink.dropped or sink.waiting or sink.errors:
            lost = ", ".join(f"{count} {reason}" for reason, count in sorted(sink.dropped.items()))
            lines.append(
                f"  sink {sink.name}: {sink.delivered} of {sink.accepted} delivered, "
                f"{sink.waiting} kept for later, dropped: {lost or 'none'}, {sink.errors} errors"
            )
    if report.recompiled:
        lines.append(f"the engine was compiled wrongly {report.recompiled} times and redone")
    return lines


def _identity(counters: Any) -> str:
    dropped = sum(counters.dropped.values())
    reasons = ", ".join(f"{name} {count}" for name, count in sorted(counters.dropped.items()))
    told = f"{counters.captured} captured = {counters.inferred} inferred + {dropped} dropped"
    return f"{told} ({reasons})" if reasons else told
