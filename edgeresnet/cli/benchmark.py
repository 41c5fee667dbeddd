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
@click.option(
    "--beside",
    multiple=True,
    metavar="COMMAND",
    help="Another program, run in turns with ours; it prints lines as: NAME 123.4 frames/s.",
)
@click.option("--compare", "earlier", type=PATH, help="An earlier report, made with --json.")
@shared
def command(
    bundle: Path,
    *,
    source: str | None,
    seconds: float,
    beside: tuple[str, ...],
    earlier: Path | None,
    as_json: bool,
    quiet: bool,
    **_: Any,
) -> None:
    """How fast BUNDLE is: engine alone and end to end, all legs alternating."""
    from edgeresnet.benchmark.compare import compare
    from edgeresnet.benchmark.published import said
    from edgeresnet.benchmark.stage import SYNTHETIC, benchmark
    from edgeresnet.core.errors import UsageError
    from edgeresnet.core.files import existing_file
    from edgeresnet.core.schema import read_json

    before = None
    if earlier is not None:
        text = existing_file(earlier, "--compare").read_text(encoding="utf-8", errors="replace")
        before = read_json(text, f"--compare {earlier}", UsageError)
    with progress_bar(quiet=quiet) as progress:
        report = benchmark(
            bundle,
            source=source or SYNTHETIC,
            seconds=seconds,
            beside=beside,
            progress=progress,
        )
    data = report.as_json()
    if as_json:
        print_json(data)
        return
    print_table(
        f"{bundle} on {data['fingerprint']['cpu']}, {data['fingerprint']['cores']} cores",
        ("leg", "frames/s", "p50 ms", "p90 ms", "p99 ms", "max ms"),
        _rows(data),
    )
    stages = ", ".join(f"{name} {ms:.2f}" for name, ms in report.stages_ms.items())
    click.echo(f"\nmedian ms of a frame: {stages}")
    if report.core_ms:
        parts = ", ".join(f"{name} {ms:.2f}" for name, ms in report.core_ms.items())
        click.echo(f"core ms of a frame: {parts}")
    for line in _ratios(data):
        click.echo(line)
    times = data["engine"]["latency_ms"]
    for one in report.published:
        click.echo(said(one))
        click.echo(
            f"  measured here, engine alone: p50 {times['p50']:.2f}, p90 {times['p90']:.2f} ms"
        )
    if before is not None:
        rows = [
            (name, f"{was:.2f}", f"{now:.2f}", f"{now / was:.3f}" if was else "")
            for name, was, now in compare(data, before)
        ]
        print_table(f"\nbeside {earlier}", ("figure", "then", "now", "ratio"), rows)


def _rows(data: dict[str, Any]) -> list[tuple[str, ...]]:
    engine, latency = _cells(data["engine"]["latency_ms"]), _cells(data["latency_ms"])
    end_to_end = ("end to end", f"{data['fps']:.1f}", *latency)
    if data["live"]:
        return [("engine alone, at this cadence", "", *engine), end_to_end]
    none = ("", "", "", "")
    return [
        ("engine alone, throughput", f"{data['engine']['fps']:.1f}", *none),
        ("engine alone, one frame", "", *engine),
        end_to_end,
        ("bound of the cores", f"{data['bound_fps']:.1f}", *none),
        *((name, f"{one['fps']:.1f}", *none) for name, one in data.get("beside", {}).items()),
    ]


def _ratios(data: dict[str, Any]) -> list[str]:
    engine, latency = data["engine"]["latency_ms"], data["latency_ms"]
    if data["live"]:
        over = (latency[key] - engine[key] for key in ("p50", "p99"))
        p50, p99 = (f"{ms:+.2f} ms" for ms in over)
        return [f"capture to result, over the engine alone at this cadence: p50 {p50}, p99 {p99}"]
    return [
        f"end to end is {data['of_bound']:.2f} of the bound of the cores",
        *(
            f"end to end is {one['ours_over_it']:.2f} of {name}"
            for name, one in data.get("beside", {}).items()
        ),
    ]


def _cells(times: dict[str, float]) -> tuple[str, ...]:
    return tuple(f"{times[key]:.2f}" for key in ("p50", "p90", "p99", "max"))
