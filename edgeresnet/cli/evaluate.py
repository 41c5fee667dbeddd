"""``edgeresnet evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgeresnet.cli.console import print_json, print_table, progress_bar, say
from edgeresnet.cli.options import PATH, shared


@click.command(
    epilog="Example: edgeresnet evaluate resnet50.bundle --images ~/val --reference resnet50.onnx"
)
@click.argument("model", type=PATH, metavar="GRAPH|BUNDLE")
@click.option("--images", type=PATH, required=True, help="Class folders, or CSV file,class_index.")
@click.option("--class-map", type=PATH, help="CSV or JSON: folder to class.")
@click.option("--reference", type=PATH, help="Graph or bundle to compare with, picture by picture.")
@shared
def command(
    model: Path,
    *,
    as_json: bool,
    quiet: bool,
    debug: bool,  # noqa: ARG001
    force: bool,  # noqa: ARG001
    **options: Any,
) -> None:
    """How right a graph (on ONNX Runtime) or a bundle (on its own engine) is."""
    from edgeresnet.evaluate.stage import evaluate

    with progress_bar(quiet=quiet) as progress:
        report = evaluate(model, progress=progress, **options)
    if as_json:
        print_json(report.as_json())
        return
    rows = [
        (name, interval)
        for name, interval in (
            ("top-1", report.top1),
            ("top-5", report.top5),
            ("top-1 of the reference", report.reference_top1),
            ("top-5 of the reference", report.reference_top5),
            ("agreement with the reference", report.agreement),
            ("points of top-1 lost", report.drop),
        )
        if interval is not None
    ]
    print_table(f"{report.model}, {report.pictures} pictures", ("", "% (95 % interval)"), rows)
    if report.mapping:
        say(f"classes found by {report.mapping}", quiet=quiet)
    for path, why in report.unreadable.items():
        say(f"skipped {path.name}: {why}", quiet=quiet)
