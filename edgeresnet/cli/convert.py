"""``edgeresnet convert``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgeresnet.cli.console import print_json, print_table, progress_bar, say
from edgeresnet.cli.options import PATH, preprocess_overrides, preprocessing, shared

if TYPE_CHECKING:
    from edgeresnet.core.artifacts import Graph
    from edgeresnet.match.probe import TrainingMatch


@click.command(
    epilog="Examples:  edgeresnet convert resnet50.pth --classes labels.txt -o resnet50.onnx   |   "
    "edgeresnet convert package/ResNet50/model.json --images ~/val"
)
@click.argument("weights")
@click.option("--arch", help="Network; else read from the weights.")
@click.option(
    "--task",
    type=click.Choice(["classify", "detect", "embed"]),
    help="What for; embed leaves out the last layer. [told by the weights]",
)
@click.option(
    "--stride-in",
    type=click.Choice(["1x1", "3x3"]),
    help="v1 puts a bottleneck's stride in its 1x1 convolution, v1.5 in its 3x3. [3x3]",
)
@click.option("--classes", type=PATH, help="Class names: a text file, one a line, or JSON.")
@click.option("--images", type=PATH, help="About 30 pictures: check against the training.")
@click.option("--batch", type=click.IntRange(1, 256), default=1, help="Pictures per run. [1]")
@preprocessing
@click.option("-o", "--out", type=PATH, help="Output. [WEIGHTS' name + .onnx]")
@shared
def command(weights: str, *, as_json: bool, quiet: bool, debug: bool, **options: Any) -> None:  # noqa: ARG001
    """Convert trained WEIGHTS to a contract graph.

    WEIGHTS: .pth, .pt, .safetensors, Keras' model.json, .onnx, or package.module:factory. The
    preprocessing options say how the network was trained to see; with --images what is not said is
    found out, and what is said wrongly is refused.
    """
    from edgeresnet.convert.stage import convert
    from edgeresnet.core.errors import ParityError
    from edgeresnet.match.probe import FEWEST

    overrides = preprocess_overrides(options)
    source = Path(weights.rpartition(":")[2])
    suffix = ".contract.onnx" if source.suffix == ".onnx" else ".onnx"
    out = options.pop("out") or Path(source.stem + suffix)
    try:
        with progress_bar(quiet=quiet) as progress:
            report = convert(weights, out, preprocess=overrides, progress=progress, **options)
    except ParityError as error:
        match = getattr(error, "match", None)
        if match is not None and not as_json:
            _print_match(match)
        raise
    if as_json:
        print_json(
            {
                "graph": str(report.graph.path),
                "sha256": report.graph.sha256,
                "arch": report.arch,
                "parameters": report.parameters,
                "classes": len(report.graph.labels),
                "preprocess": report.graph.preprocess.model_dump(mode="json"),
                "training_match": report.graph.evidence["training_match"],
                "parity": report.graph.evidence["parity"],
            }
        )
        return
    if report.match is not None:
        _print_match(report.match)
    parity = report.parity
    rows2 = [
        ("network", f"{report.arch}, {report.parameters:,} parameters"),
        *_gives(report.graph),
        ("training match", report.training_match),
        ("parity", f"relative error {parity.relative_error:.1e} on {parity.pictures} pictures"),
        ("written", report.graph.path),
    ]
    print_table("", ("what", "found"), rows2)
    for path, why in report.unreadable.items():
        say(f"skipped {path.name}: {why}", quiet=quiet)
    if report.match is not None and report.match.note:
        say(f"training match: {report.match.note}", quiet=quiet)
    if report.training_match == "unchecked":
        need = f"--images with at least {FEWEST} readable pictures"
        say(f"the preprocessing is unchecked: {need} checks it against the training")


def _gives(graph: Graph) -> list[tuple[str, object]]:
    """What the network says: of an embedder there are no classes."""
    if graph.task == "embed":
        return [("features", graph.outputs[0].shape[-1])]
    return [("classes", len(graph.labels))]


def _print_match(match: TrainingMatch) -> None:
    rows = [
        (
            v.candidate.name,
            f"{v.divergence:.4f}",
            f"{v.first_layer:.4f}",
            f"{v.log_ratio:+.2f}",
            f"{v.t:+.1f}",
            "" if v.surer_t is None else f"{v.surer_t:+.1f}",
            "fits" if v is match.best else "",
        )
        for v in match.verdicts
    ]
    head = ("setting", "divergence", "first layer", "log ratio", "t", "surer t", "")
    print_table(f"training match on {match.pictures} pictures", head, rows)
