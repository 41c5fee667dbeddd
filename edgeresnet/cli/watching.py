"""How a run is doing, for whoever looks: rewritten in place on a terminal, lines elsewhere."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import RenderableType

    from edgeresnet.core.status import RunStatus
    from edgeresnet.run.notify import Notifier

_REDRAW_S, _LINE_S, _TICK_S = 0.25, 60.0, 1.0
_COLOURS = {"live": "green", "ended": "dim", "connecting": "yellow"}


@contextmanager
def watching(
    status: Callable[[], RunStatus], notifier: Notifier, label: Callable[[], str], *, quiet: bool
) -> Generator[None]:
    """Tell systemd, and a person unless ``quiet``, while the block runs."""
    over = threading.Event()
    threads = [threading.Thread(target=_tell_systemd, args=(status, notifier, over), daemon=True)]
    if not quiet:
        show = _rewrite if sys.stderr.isatty() else _lines
        threads.append(threading.Thread(target=show, args=(status, label, over), daemon=True))
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _tell_systemd(
    status: Callable[[], RunStatus], notifier: Notifier, over: threading.Event
) -> None:
    while not over.wait(_TICK_S):
        now = status()
        done = now.frames.inferred + now.frames.dropped.get("stale", 0)
        notifier.progress(done, any(one.health.state == "live" for one in now.sources))
        notifier.status(line(now))


def _lines(
    status: Callable[[], RunStatus], label: Callable[[], str], over: threading.Event
) -> None:
    while not over.wait(_LINE_S):
        click.echo(f"{label()}{line(status())}", err=True)


def _rewrite(
    status: Callable[[], RunStatus], label: Callable[[], str], over: threading.Event
) -> None:
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True, highlight=False, markup=False, emoji=False)
    with Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False) as live:
        while not over.wait(_REDRAW_S):
            live.update(_picture(status(), label()), refresh=True)


def line(status: RunStatus) -> str:
    """One line of figures, and what is not well."""
    latency, frames = status.latency_ms, status.frames
    told = (
        f"{status.fps:.1f} frames/s  p50 {latency['p50']:.1f} ms  p99 {latency['p99']:.1f} ms  "
        f"{frames.inferred} inferred  {sum(frames.dropped.values())} dropped"
    )
    return "  |  ".join([told, *status.troubles])


def _picture(status: RunStatus, label: str) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    return Group(
        Text(f"{label}{line(status).partition('  |  ')[0]}", no_wrap=True, overflow="ellipsis"),
        *(Text.assemble(*parts, no_wrap=True, overflow="ellipsis") for parts in _details(status)),
    )


def _details(status: RunStatus) -> Iterator[list[tuple[str, str] | str]]:
    """A row for each source and each sink: a mark, a name, a state, figures."""
    for source in status.sources:
        health = source.health
        colour = _COLOURS.get(health.state, "red")
        size = "{}x{}".format(*source.size) if source.size else ""
        reason = health.detail or health.reason or ("the picture is frozen" * health.frozen)
        yield [
            (f"  {'●' if health.state == 'live' else '○'} ", colour),
            f"{source.name:<24.24} ",
            (f"{health.state:<11}", colour),
            f"{source.fps:6.1f} frames/s  {size:<10} ",
            (reason, "red"),
        ]
    for sink in status.sinks:
        colour = "green" if sink.state == "ok" else "red"
        dropped = sum(sink.dropped.values())
        yield [
            ("  → ", colour),
            f"{sink.name:<24.24} ",
            (f"{sink.state:<11}", colour),
            f"{sink.delivered} delivered, {sink.waiting} waiting, {dropped} dropped  ",
            (sink.reason, "red"),
        ]
