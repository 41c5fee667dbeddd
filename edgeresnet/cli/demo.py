"""``edgeresnet demo``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgeresnet.cli.console import print_json, print_table, progress_bar, say
from edgeresnet.cli.options import PATH, shared

if TYPE_CHECKING:
    from edgeresnet.demo.stage import Way
    from edgeresnet.metrics.accuracy import Interval


@click.command(epilog="Example: edgeresnet demo -o demo-out")
@click.option("-o", "--out", type=PATH, default=Path("demo-out"), help="New folder. [demo-out]")
@shared
def command(out: Path, *, as_json: bool, quiet: bool, force: bool, **_: Any) -> None:
    """The whole way on an embedded classifier and detector: about two minutes, no download."""
    from edgeresnet.demo.stage import demo

    with progress_bar(quiet=True) as silent:
        report = demo(
            out,
            force=force,
            say=lambda line: say(line, quiet=quiet),
            progress=lambda: silent,
        )
    if as_json:
        print_json(
            {
                "folder": str(report.folder),
                "seconds": round(report.seconds, 1),
                **{way.network.name: _as_json(way) for way in report.ways},
                "written": [str(path) for path in report.written],
            }
        )
        return
    for way in report.ways:
        _print_way(way)
    film, picture = report.written[:2]
    click.echo(f"\n{report.seconds:.0f} s in all; look at {film} and {picture}")


def _as_json(way: Way) -> dict[str, Any]:
    gate = way.quantized.gate
    return {
        "accuracy": None if gate is None else gate.as_evidence(),
        "targets": [
            {
                "target": pair.target,
                "evaluate": pair.accuracy.as_json(),
                "legs": [
                    {
                        "name": leg.name,
                        "bundle": str(leg.bundle),
                        "benchmark": leg.speed.as_json(),
                    }
                    for leg in pair.legs
                ],
            }
            for pair in way.pairs
        ],
        "run": way.ran.as_json(),
    }


def _print_way(way: Way) -> None:
    gate, counters = way.quantized.gate, way.ran.counters
    assert gate is not None  # the demo brings pictures to judge with
    rows = [
        (
            leg.name,
            _figure(leg.right),
            _figure(pair.drop) if leg is pair.legs[1] else "",
            f"{leg.speed.engine_latency.percentile(50):.2f}",
            f"{leg.speed.engine_fps:.0f}",
            f"{leg.speed.end_to_end_fps:.0f}",
            f"{_megabytes(leg.bundle):.1f}",
        )
        for pair in way.pairs
        for leg in pair.legs
    ]
    times = ("frame ms", "engine fps", "end to end fps", "MB")
    print_table(
        f"\n{way.network.name}: {way.converted.arch} at a quarter of its width, on "
        f"{gate.pictures} pictures it never saw",
        ("engine", f"{gate.metric} %", "lost", *times),
        rows,
    )
    click.echo(
        f"clip: {counters.captured} frames captured = {counters.inferred} inferred + "
        f"{sum(counters.dropped.values())} dropped"
    )


def _figure(interval: Interval) -> str:
    return f"{round(interval.value, 2) + 0:.2f}"  # and no -0.00


def _megabytes(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6
