"""``edgeresnet evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgeresnet.cli.console import print_json, print_table, progress_bar, say
from edgeresnet.cli.options import PATH, shared

_FIGURES = ("", "% (95 % interval)")


@click.command(
    epilog="Example: edgeresnet evaluate resnet50.bundle --images ~/val --reference resnet50.onnx"
)
@click.argument("model", type=PATH, metavar="GRAPH|BUNDLE")
@click.option(
    "--images",
    type=PATH,
    required=True,
    help="Class folders, or CSV file,class_index; for a detector its pictures, or a VOC folder.",
)
@click.option("--class-map", type=PATH, help="CSV or JSON: folder or name to class.")
@click.option(
    "--annotations",
    type=PATH,
    metavar="FILE|DIR",
    help="For a detector: COCO's instances.json, VOC's folder of XML, or a list of ImageSets.",
)
@click.option("--strict", is_flag=True, help="Refuse faulty annotations instead of counting them.")
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
    from edgeresnet.evaluate.detection import DetectionReport
    from edgeresnet.evaluate.embedding import EmbeddingReport
    from edgeresnet.evaluate.stage import evaluate

    with progress_bar(quiet=quiet) as progress:
        report = evaluate(model, progress=progress, **options)
    if as_json:
        print_json(report.as_json())
    elif isinstance(report, DetectionReport):
        _print_detector(report, quiet=quiet)
    elif isinstance(report, EmbeddingReport):
        _print_embedder(report, quiet=quiet)
    else:
        _print_classifier(report, quiet=quiet)


def _print_classifier(report: Any, *, quiet: bool) -> None:
    rows = (
        ("top-1", report.top1),
        ("top-5", report.top5),
        ("top-1 of the reference", report.reference_top1),
        ("top-5 of the reference", report.reference_top5),
        ("agreement with the reference", report.agreement),
        ("points of top-1 lost", report.drop),
    )
    _print_figures(report, rows)
    if report.mapping:
        say(f"classes found by {report.mapping}", quiet=quiet)
    for path, why in report.unreadable.items():
        say(f"skipped {path.name}: {why}", quiet=quiet)


def _print_embedder(report: Any, *, quiet: bool) -> None:
    rows = (
        ("nearest picture of the same class", report.nearest),
        ("the same of the reference", report.reference_nearest),
        ("points of it lost", report.drop),
        ("cosine with the reference", report.cosine),
        ("same nearest picture as the reference", report.agreement),
    )
    _print_figures(report, rows)
    if alone := report.scored and report.pictures - report.scored:
        say(f"{alone} pictures are alone in their class and count for none", quiet=quiet)
    for path, why in report.unreadable.items():
        say(f"skipped {path.name}: {why}", quiet=quiet)


def _print_detector(report: Any, *, quiet: bool) -> None:
    score, compared = report.score, report.compared
    rows: list[tuple[str, Any]] = []
    if score is not None:
        rows += [("mAP@[.5:.95]", score.map), ("mAP@.5", score.map50)]
    if compared is not None and compared.score is not None:
        before = compared.score
        rows += [("mAP@[.5:.95] of the reference", before.map)]
        rows += [("mAP@.5 of the reference", before.map50)]
    if compared is not None and compared.drop is not None:
        rows += [("points of mAP@[.5:.95] lost", compared.drop[0])]
        rows += [("points of mAP@.5 lost", compared.drop[1])]
    if compared is not None:
        rows += [(f"agreement on {compared.boxes} sure boxes", compared.agreement)]
    _print_figures(report, rows)
    if score is not None:
        classes = [
            (report.names[item.class_id], item.boxes, f"{item.map:.2f}", f"{item.map50:.2f}")
            for item in score.per_class
        ]
        print_table("", ("class", "boxes", "AP@[.5:.95] %", "AP@.5 %"), classes)
    faults = report.faults
    if faults.counts:
        told = [(fault.words, count, faults.first[fault]) for fault, count in faults.counts.items()]
        print_table("", ("in the annotations", "times", "first"), told)
    if report.mapping:
        say(f"classes found by {report.mapping}", quiet=quiet)


def _print_figures(report: Any, rows: Any) -> None:
    known = [row for row in rows if row[1] is not None]
    print_table(f"{report.model}, {report.pictures} pictures", _FIGURES, known)
