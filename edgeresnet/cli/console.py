"""What a person sees: progress on stderr, tables and JSON on stdout."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click

from edgeresnet.core.progress import Progress, silent

_LINE_EACH_S = 10.0


@contextmanager
def progress_bar(*, quiet: bool) -> Generator[Progress]:
    """A bar on a terminal, a line a step elsewhere, nothing when quiet."""
    if quiet:
        yield silent
        return
    if not sys.stderr.isatty():
        told: set[str] = set()

        def line(what: str, done: int, total: int) -> None:
            if what not in told:
                told.add(what)
                click.echo(f"{what} ({total})" if total > 1 else what, err=True)
            del done

        yield line
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description:<16}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Bar(*columns, console=Console(stderr=True)) as bar:
        tasks: dict[str, Any] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done, total=total)

        yield show


def progress_lines(*, quiet: bool) -> Progress:
    """A line for each new step, and one each ten seconds of a long one."""
    if quiet:
        return silent
    told: dict[str, float] = {}

    def line(what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if what not in told or now - told[what] > _LINE_EACH_S:
            told[what] = now
            click.echo(f"{what}: {done} of {total}" if total > 1 else what, err=True)

    return line


def print_json(data: Mapping[str, Any]) -> None:
    """One object on stdout."""
    click.echo(json.dumps(data))


def print_table(title: str, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table on stdout: numbers to the right, plain where stdout is no terminal."""
    from rich.console import Console
    from rich.table import Table

    if title:
        click.echo(title)
    table = Table(box=None, pad_edge=False, show_header=any(head))
    listed = [[str(cell) for cell in row] for row in rows]
    for i, name in enumerate(head):
        numeric = bool(listed) and all(_numeric(row[i]) for row in listed)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in listed:
        table.add_row(*row)
    width = None if sys.stdout.isatty() else 120
    console = Console(highlight=False, markup=False, emoji=False, width=width)
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        click.echo(line.rstrip())


def _numeric(text: str) -> bool:
    return text.strip()[:1].isdigit() or text.strip()[:2].lstrip("+-")[:1].isdigit() or not text


def say(text: str, *, quiet: bool = False) -> None:
    """A line for the person, on stderr, so that stdout stays what scripts read."""
    if not quiet:
        click.echo(text, err=True)
