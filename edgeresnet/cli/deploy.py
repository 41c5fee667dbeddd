"""``edgeresnet deploy``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgeresnet.cli.console import print_json, print_table, progress_bar, say
from edgeresnet.cli.options import PATH, preprocess_overrides, preprocessing, shared
from edgeresnet.cli.quantize import METHOD, print_quantize

_QUANTIZE = (
    "eval_images",
    "samples",
    "recipe",
    "method",
    "max_drop",
    "class_map",
    "jobs",
    "advice",
)


@click.command(epilog="Example: edgeresnet deploy resnet50.pth --images ~/val --target intel-cpu")
@click.argument("weights")
@click.option("--images", type=PATH, required=True, help="Pictures: folder or CSV.")
@click.option("--target", required=True, help="Device profile, by name or TOML file.")
@click.option("--arch", help="Network; else read from the weights.")
@click.option("--stride-in", type=click.Choice(["1x1", "3x3"]), help="As for convert.")
@click.option("--classes", type=PATH, help="Class names.")
@preprocessing
@click.option("--eval", "eval_images", type=PATH, help="Gate pictures; else a half of --images.")
@click.option("--class-map", type=PATH, help="CSV or JSON: folder to class.")
@click.option("--samples", type=click.IntRange(1), help="Calibration pictures. [256]")
@click.option("--recipe", default="default", help="How, by name or TOML file. [default]")
@click.option("--method", type=METHOD, help="Over the recipe's.")
@click.option("--max-drop", type=click.FloatRange(0), help="Points that may be lost. [1.0]")
@click.option("--jobs", type=click.IntRange(1), help="Pictures at a time. [cores]")
@click.option("--advise", "advice", is_flag=True, help="Measure float, half and INT8 here.")
@click.option("-o", "--out", type=PATH, help="Bundle folder. [WEIGHTS' name + .bundle]")
@shared
def command(
    weights: str,
    *,
    images: Path,
    target: str,
    as_json: bool,
    quiet: bool,
    force: bool,
    debug: bool,  # noqa: ARG001
    **options: Any,
) -> None:
    """Convert WEIGHTS, quantize and compile for one device, in one."""
    from edgeresnet.deploy.stage import deploy

    overrides = preprocess_overrides(options)
    out = options.pop("out") or Path(Path(weights.rpartition(":")[2]).stem + ".bundle")
    quantize_options = {name: options.pop(name) for name in _QUANTIZE}
    with progress_bar(quiet=quiet) as progress:
        report = deploy(
            weights,
            out,
            images=images,
            target=target,
            convert_options={**options, "preprocess": overrides},
            quantize_options=quantize_options,
            force=force,
            progress=progress,
        )
    advice = report.quantized.advice
    manifest = report.compiled.bundle.manifest
    if as_json:
        print_json(
            {
                "bundle": str(report.compiled.bundle.folder),
                "digest": report.compiled.bundle.digest,
                "target": manifest.target.name,
                "evidence": manifest.evidence,
                "advice": advice.as_json() if advice is not None else None,
                "notes": [*report.quantized.notes, *report.compiled.notes],
            }
        )
        return
    for note in (*report.quantized.notes, *report.compiled.notes):
        say(note, quiet=quiet)
    print_quantize(report.quantized)
    rows = [
        ("network", f"{report.converted.arch}, {report.converted.training_match}"),
        ("golden check", f"relative error {report.compiled.golden_error:.2g}"),
        ("written", report.compiled.bundle.folder),
    ]
    print_table("", ("bundle", ""), rows)
