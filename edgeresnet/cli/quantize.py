"""``edgeresnet quantize``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgeresnet.cli.console import print_json, print_table, progress_bar, say
from edgeresnet.cli.options import PATH, shared

if TYPE_CHECKING:
    from edgeresnet.quantize.stage import QuantizeReport


@click.command(
    epilog="Example: edgeresnet quantize resnet50.onnx --images ~/val --target intel-cpu"
)
@click.argument("graph", type=PATH)
@click.option("--images", type=PATH, required=True, help="Calibration pictures: folder or CSV.")
@click.option("--eval", "eval_images", type=PATH, help="Gate pictures; else a half of --images.")
@click.option("--class-map", type=PATH, help="CSV or JSON: folder to class.")
@click.option("--samples", type=click.IntRange(1), help="Calibration pictures. [256]")
@click.option("--target", help="Device profile, by name or TOML file: gives the scheme.")
@click.option("--scheme", type=click.Choice(["u8-affine", "s8-symmetric"]), help="Instead.")
@click.option("--recipe", default="default", help="How, by name or TOML file. [default]")
@click.option("--method", type=click.Choice(["minmax", "percentile"]), help="Over the recipe's.")
@click.option("--max-drop", type=click.FloatRange(0), help="Points that may be lost. [1.0]")
@click.option("-o", "--out", type=PATH, help="Output. [GRAPH's name + .int8.onnx]")
@shared
def command(graph: Path, *, as_json: bool, quiet: bool, debug: bool, **options: Any) -> None:  # noqa: ARG001
    """Quantize GRAPH to INT8 inside an accuracy budget."""
    from edgeresnet.quantize.stage import quantize

    out = options.pop("out") or graph.with_suffix(".int8.onnx")
    with progress_bar(quiet=quiet) as progress:
        report = quantize(graph, out, progress=progress, **options)
    if as_json:
        print_json(
            {
                "graph": str(report.graph.path),
                "sha256": report.graph.sha256,
                "scheme": report.graph.scheme.value,
                "accuracy": report.gate.as_evidence(),
                "calibration": report.graph.evidence["calibration"],
                "training_match": report.training_match,
                "worst_layers": [
                    {"layer": n.layer, "snr_db": round(n.snr_db, 2), "lost_db": round(n.lost_db, 2)}
                    for n in report.worst_layers[:10]
                ],
                "unreadable": {str(p): why for p, why in report.unreadable.items()},
                "notes": list(report.notes),
            }
        )
        return
    for note in report.notes:
        say(note, quiet=quiet)
    print_quantize(report)
    for path, why in report.unreadable.items():
        say(f"skipped {path.name}: {why}", quiet=quiet)


def print_quantize(report: QuantizeReport) -> None:
    """The tables that a person reads."""
    gate = report.gate
    rows: list[tuple[str, object]] = []
    for name, pair in (("top-1", gate.top1), ("top-5", gate.top5)):
        if pair is not None:
            rows.append((f"{name} float", pair[0]))
            rows.append((f"{name} INT8", pair[1]))
    rows += [
        ("agreement with float", gate.agreement),
        (f"points of {gate.metric} lost", gate.drop),
        ("budget", f"{gate.max_drop:g} points: {'inside' if gate.passed else 'OUTSIDE (forced)'}"),
        ("pictures", f"{report.calibration_pictures} calibrate, {gate.pictures} judge"),
        ("training match", report.training_match),
        ("scheme", report.graph.scheme.value),
        ("written", report.graph.path),
    ]
    print_table("", ("what", "percent (95 % interval)"), rows)
    if gate.needed > gate.pictures:
        click.echo(f"the interval is wide: about {gate.needed} pictures would narrow it")
    layers = [(n.layer, f"{n.snr_db:.1f}", f"{n.lost_db:.1f}") for n in report.worst_layers[:5]]
    print_table("\nlayers that add most noise", ("layer", "SNR dB", "lost dB"), layers)
