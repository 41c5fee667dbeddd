"""``edgeresnet benchmark``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgeresnet.cli.console import print_json, print_table, progress_bar
from edgeresnet.cli.options import PATH, shared


@click.command(epilog="Example: edgeresnet benchmark resnet50.bundle --source clip.mp4")
@click.argument("bundle", type=PATH)
@click.option("--source", help="As for run. [synthetic 640x480]")
@click.option("--seconds", type=float, default=20.0, help="About how long in all. [20]")
@click.option("--compare", "earlier", type=PATH, help="An earlier report, made with --json.")
@shared
def command(
    bundle: Path,
    *,
    source: str | None,
    seconds: float,
    earlier: Path | None,
    as_json: bool,
    quiet: bool,
    **_: Any,
) -> None:
    """How fast BUNDLE is: engine alone and end to end, all legs alternating."""
    from edgeresnet.benchmark.stage import SYNTHETIC, benchmark, compare
    from edgeresnet.core.errors import UsageError
    from edgeresnet.core.files import existing_file
    from edgeresnet.core.schema import read_json

    before = None
    if earlier is not None:
        text = existing_file(earlier, "--compare").read_text(encoding="utf-8", errors="replace")
        before = read_json(text, f"--compare {earlier}", UsageError)
    with progress_bar(quiet=quiet) as progress:
        report = benchmark(bundle, source=source or SYNTHETIC, seconds=seconds, progress=progress)
    data = report.as_json()
    if as_json:
        print_json(data)
        return
    engine, latency = data["engine"]["latency_ms"], data["latency_ms"]
    print_table(
        f"{bundle} on {data['fingerprint']['cpu']}, {data['fingerprint']['cores']} cores",
        ("leg", "frames/s", "p50 ms", "p90 ms", "p99 ms", "max ms"),
        [
            ("engine alone, throughput", f"{report.engine_fps:.1f}", "", "", "", ""),
            ("engine alone, one frame", "", *_cells(engine)),
            ("end to end", f"{report.end_to_end_fps:.1f}", *_cells(latency)),
            ("bound of the cores", f"{report.bound_fps:.1f}", "", "", "", ""),
        ],
    )
    stages = ", ".join(f"{name} {ms:.2f}" for name, ms in report.stages_ms.items())
    click.echo(f"\nmedian ms of a frame: {stages}")
    if before is not None:
        rows = [
            (name, f"{was:.2f}", f"{now:.2f}", f"{now / was:.3f}" if was else "")
            for name, was, now in compare(data, before)
        ]
        print_table(f"\nbeside {earlier}", ("figure", "then", "now", "ratio"), rows)


def _cells(times: dict[str, float]) -> tuple[str, ...]:
    return tuple(f"{times[key]:.2f}" for key in ("p50", "p90", "p99", "max"))
