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


class Systemd:
    """Tells systemd what every run of this process does, the time between two of them included."""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier
        self._status: Callable[[], RunStatus] | None = None

    def began(self, status: Callable[[], RunStatus]) -> None:
        """A run has begun."""
        self._status = status
        self._notifier.ready()

    def ends(self, *, again: bool) -> None:
        """It comes to its end, to begin ``again`` with another configuration or for good."""
        self._status = None
        if again:
            self._notifier.reloading()
        else:
            self._notifier.stopping()

    def tell(self) -> None:
        """Feed the watchdog unless frames wait and nothing becomes of them; say how it goes."""
        status = self._status
        if status is None:  # opening or closing, which has limits of its own
            self._notifier.progress(0, waiting=False)
            return
        now = status()
        done = now.frames.inferred + now.frames.dropped.get("stale", 0)
        self._notifier.progress(done, waiting=now.frames.in_flight > 0)
        self._notifier.status(line(now))


@contextmanager
def systemd() -> Generator[Systemd]:
    """Speak to systemd, if it is there, while the block runs."""
    from edgeresnet.run.notify import Notifier

    told = Systemd(Notifier())
    with _on_a_thread(lambda over: _every(_TICK_S, told.tell, over)):
        yield told


@contextmanager
def watching(
    status: Callable[[], RunStatus], label: Callable[[], str], *, quiet: bool
) -> Generator[None]:
    """Tell a person how the run goes, unless ``quiet``, while the block runs."""
    if quiet:
        yield
        return
    show = _rewrite if sys.stderr.isatty() else _lines
    with _on_a_thread(lambda over: show(status, label, over)):
        yield


@contextmanager
def _on_a_thread(work: Callable[[threading.Event], None]) -> Generator[None]:
    over = threading.Event()
    thread = threading.Thread(target=work, args=(over,), name="watching", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _every(seconds: float, tell: Callable[[], None], over: threading.Event) -> None:
    while not over.wait(seconds):
        tell()


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
