"""``edgeresnet run``."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgeresnet.cli.console import print_json, progress_lines, say
from edgeresnet.cli.options import PATH, shared
from edgeresnet.cli.signals import Signals
from edgeresnet.cli.told import in_short, summary
from edgeresnet.cli.watching import Systemd, systemd, watching
from edgeresnet.core.errors import DeviceError, EdgeError, UsageError

if TYPE_CHECKING:
    from edgeresnet.core.status import RunStatus
    from edgeresnet.flow.report import RunReport
    from edgeresnet.flow.stream import Result
    from edgeresnet.run.config import App

_REQUIRED_S = 10.0


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
@click.option("--top", type=click.IntRange(1), help="Labels or boxes a frame. [5; 300]")
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    help="Least score; --track also gives fainter boxes, from 0.1, of things it follows. "
    "[0 of labels, 0.3 of boxes]",
)
@click.option(
    "--class-threshold",
    "class_thresholds",
    multiple=True,
    metavar="CLASS=SCORE",
    callback=lambda _context, _option, given: dict(map(_class_threshold, given)),
    help="Least score of one class, as person=0.5; may repeat.",
)
@click.option("--track", is_flag=True, help="Give things the id that they had in earlier frames.")
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
@click.option(
    "--while-building",
    type=click.Choice(["onnxruntime"]),
    help="Serve on this while the device builds its TensorRT engine.",
)
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
    from edgeresnet.run.stage import check_stdout, run

    def wanted() -> App:
        return _wanted(bundle, sources, sinks, options)

    signals = Signals(wanted if bundle.suffix == ".toml" else None)
    app = wanted()
    check_stdout(app.sinks, as_json=as_json)
    before: App | None = None
    with systemd() as told, signals.handled():
        while True:
            label = _Label(quiet=quiet, labels=not app.sinks and not as_json)
            watch = _Watch(told, label, signals, quiet=quiet, require=require_source)
            try:
                report = run(
                    app.bundle,
                    app.sources,
                    app.sinks,
                    policy=app.policy,
                    stop=signals.stop,
                    force=force,
                    errors=errors,
                    strict=strict,
                    while_building=app.while_building,
                    progress=progress_lines(quiet=quiet),
                    on_result=label.show,
                    watcher=watch.over,
                )
            except EdgeError as error:
                if before is None or watch.began:
                    raise
                say(f"not reloaded, the run goes on as it was: {error}")
                app, before = before, None
                continue
            if watch.error is not None:
                raise watch.error
            following = signals.again()
            if following is None:
                break
            before, app = app, following
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
        "track": options["track"] or None,
        "max_age_ms": options["max_age"],
        "fps": options["fps"],
        "frames": options["frames"],
    }
    given = {key: value for key, value in told.items() if value is not None}
    given["class_thresholds"] = {**app.policy.class_thresholds, **options["class_thresholds"]}
    app = replace(
        app,
        sources=sources or app.sources,
        sinks=sinks or app.sinks,
        policy=replace(app.policy, **given),
        while_building=options["while_building"] or app.while_building,
    )
    if not app.sources:
        raise UsageError(
            "run needs a --source", hint="--source camera://0, --source clip.mp4, --source rtsp://…"
        )
    return app


def _class_threshold(text: str) -> tuple[str, float]:
    """Take ``person=0.5`` apart."""
    name, found, score = text.rpartition("=")
    try:
        least = float(score)
    except ValueError:
        least = -1.0
    if not (found and name and 0 <= least <= 1):
        raise UsageError(
            f"--class-threshold {text!r} is not a class and a score of 0 to 1",
            hint="--class-threshold person=0.5",
        )
    return name, least


class _Watch:
    """What looks at one run while it lasts."""

    def __init__(
        self, told: Systemd, label: _Label, signals: Signals, *, quiet: bool, require: bool
    ) -> None:
        self.began = False
        """Whether everything was opened."""
        self.error: EdgeError | None = None
        self._told, self._label, self._signals = told, label, signals
        self._quiet, self._require = quiet, require

    @contextmanager
    def over(self, status: Callable[[], RunStatus]) -> Generator[None]:
        """Tell systemd and a person how it goes; end it when a required source does not come."""
        self.began = True
        timer = threading.Timer(_REQUIRED_S, self._check_source, (status,))
        timer.daemon = True
        if self._require:
            timer.start()
        self._told.began(status)
        with watching(status, self._label.text, quiet=self._quiet):
            try:
                yield
            finally:
                timer.cancel()
                self._told.ends(again=self._signals.reloaded is not None)

    def _check_source(self, status: Callable[[], RunStatus]) -> None:
        now = status()
        if now.frames.captured + now.frames.in_flight:
            return
        found = "; ".join(
            f"{one.name}: {one.health.detail or one.health.state}" for one in now.sources
        )
        self.error = DeviceError(f"no source gave a frame in {_REQUIRED_S:.0f} s: {found}")
        self._signals.stop.set()


class _Label:
    """What the newest result says, briefly; a line of its own where nothing else shows it."""

    def __init__(self, *, quiet: bool, labels: bool) -> None:
        self._lines = labels and not quiet and not sys.stderr.isatty()
        self._next = 0.0
        self._best = ""

    def show(self, report: RunReport, result: Result) -> None:
        """Called for every result; writes at most twice a second."""
        self._best = in_short(result.prediction)
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
