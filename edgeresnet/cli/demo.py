"""``edgeresnet demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgeresnet.cli.console import print_json, print_table, progress_bar, say
from edgeresnet.cli.options import PATH, shared


@click.command(epilog="Example: edgeresnet demo -o demo-out")
@click.option("-o", "--out", type=PATH, default=Path("demo-out"), help="New folder. [demo-out]")
@shared
def command(out: Path, *, as_json: bool, quiet: bool, force: bool, **_: Any) -> None:
    """The whole way on the embedded sample network: about two minutes, nothing is fetched."""
    from edgeresnet.demo.stage import demo

    with progress_bar(quiet=True) as silent:
        report = demo(
            out,
            force=force,
            say=lambda line: say(line, quiet=quiet),
            progress=lambda: silent,
        )
    gate = report.quantized.gate
    assert gate is not None  # the demo brings pictures to judge with
    if as_json:
        print_json(
            {
                "folder": str(report.folder),
                "seconds": round(report.seconds, 1),
                "accuracy": gate.as_evidence(),
                "legs": [
                    {
                        "name": leg.name,
                        "bundle": str(leg.bundle),
                        "evaluate": leg.accuracy.as_json(),
                        "benchmark": leg.speed.as_json(),
                    }
                    for leg in report.legs
                ],
                "run": report.ran.as_json(),
                "written": [str(path) for path in report.written],
            }
        )
        return
    rows = [
        (
            leg.name,
            f"{leg.accuracy.top1.value:.2f}" if leg.accuracy.top1 else "",
            f"{leg.accuracy.agreement.value:.2f}" if leg.accuracy.agreement else "",
            f"{leg.speed.engine_latency.percentile(50):.2f}",
            f"{leg.speed.engine_fps:.0f}",
            f"{leg.speed.end_to_end_fps:.0f}",
        )
        for leg in report.legs
    ]
    head = ("engine", "top-1 %", "agree fp32 %", "one frame ms", "engine fps", "end to end fps")
    print_table(
        f"\n{report.converted.arch} at a quarter of its width, {gate.pictures} pictures it never "
        f"saw; INT8 loses {gate.drop.value:.2f} points of top-1",
        head,
        rows,
    )
    counters = report.ran.counters
    print_table(
        f"\n{counters.captured} frames captured = {counters.inferred} inferred + "
        f"{sum(counters.dropped.values())} dropped; {report.seconds:.0f} s in all; files written",
        ("file", "MB"),
        [(path, f"{_megabytes(path):.1f}") for path in report.written],
    )
    say("\nlook at annotated.jpg and annotated.mp4", quiet=quiet)


def _megabytes(path: Path) -> float:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6
