"""``edgeresnet compile``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgeresnet.cli.console import print_json, print_table, progress_bar, say
from edgeresnet.cli.options import PATH, shared


@click.command(epilog="Example: edgeresnet compile resnet50.int8.onnx --target intel-cpu")
@click.argument("graph", type=PATH)
@click.option("--target", default="generic-cpu", help="Device profile, NAME or file. [generic-cpu]")
@click.option("--precision", help="Of a float graph: float32, bfloat16, float16. [float32]")
@click.option("-o", "--out", type=PATH, help="Bundle folder. [GRAPH's name + .bundle]")
@shared
def command(graph: Path, *, as_json: bool, quiet: bool, debug: bool, **options: Any) -> None:  # noqa: ARG001
    """Compile GRAPH for one device into a bundle that proves itself wherever it is opened."""
    from edgeresnet.compile.stage import compile_graph

    out = options.pop("out") or Path(graph.name.removesuffix(".onnx") + ".bundle")
    with progress_bar(quiet=quiet) as progress:
        report = compile_graph(graph, out, progress=progress, **options)
    manifest = report.bundle.manifest
    if as_json:
        print_json(
            {
                "bundle": str(report.bundle.folder),
                "digest": report.bundle.digest,
                "target": manifest.target.name,
                "scheme": manifest.scheme.value,
                "golden": manifest.golden.model_dump(),
                "notes": list(report.notes),
            }
        )
        return
    rows = [
        ("target", f"{manifest.target.name} ({manifest.artifact.backend})"),
        ("scheme", manifest.scheme.value),
        ("options", ", ".join(f"{k}={v}" for k, v in manifest.target.options.items()) or "none"),
        (
            "golden check",
            f"relative error {report.golden_error:.2g}, {report.tolerance:g} allowed",
        ),
        ("written", report.bundle.folder),
    ]
    print_table("", ("what", "found"), rows)
    for note in report.notes:
        say(note, quiet=quiet)
