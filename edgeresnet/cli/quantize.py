"""``edgeresnet quantize``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgeresnet.cli.console import print_json, print_table, progress_bar, say
from edgeresnet.cli.options import PATH, shared

if TYPE_CHECKING:
    from edgeresnet.flow.advise import Advice
    from edgeresnet.quantize.report import QuantizeReport

_ALIKE = {"labels": "same label %", "boxes": "same boxes %", "vectors": "cosine %"}
METHOD = click.Choice(["minmax", "percentile", "entropy", "mse", "lp", "auto"])


@click.command(
    epilog="Examples:  edgeresnet quantize resnet50.onnx --images ~/val --target intel-cpu   |   "
    "edgeresnet quantize resnet50.onnx --scheme s8-symmetric --eval ~/test"
)
@click.argument("graph", type=PATH)
@click.option("--images", type=PATH, help="Calibration pictures: folder or CSV. [kept ones]")
@click.option("--eval", "eval_images", type=PATH, help="Gate pictures; else a half of --images.")
@click.option("--class-map", type=PATH, help="CSV or JSON: folder to class.")
@click.option(
    "--annotations",
    type=PATH,
    help="Of a detector: boxes of the pictures that judge, COCO file or folder of XML.",
)
@click.option("--samples", type=click.IntRange(1), help="Calibration pictures. [256]")
@click.option("--target", help="Device profile, by name or TOML file: gives the scheme.")
@click.option("--scheme", type=click.Choice(["u8-affine", "s8-symmetric"]), help="Instead.")
@click.option("--recipe", default="default", help="How, by name or TOML file. [default]")
@click.option("--method", type=METHOD, help="Over the recipe's.")
@click.option("--max-drop", type=click.FloatRange(0), help="Points that may be lost. [1.0]")
@click.option("--jobs", type=click.IntRange(1), help="Pictures at a time. [cores]")
@click.option("--advise", "advice", is_flag=True, help="Measure float, half and INT8 here.")
@click.option("--report", "page", type=PATH, help="Write an HTML page, its JSON beside it.")
@click.option("-o", "--out", type=PATH, help="Output. [GRAPH's name + .int8.onnx]")
@shared
def command(
    graph: Path,
    *,
    page: Path | None,
    as_json: bool,
    quiet: bool,
    debug: bool,  # noqa: ARG001
    **options: Any,
) -> None:
    """Quantize GRAPH to INT8 inside an accuracy budget.

    What the calibration pictures show is kept beside GRAPH: another scheme or method of the same
    graph then needs no --images. Layers return to float until --max-drop holds.
    """
    from edgeresnet.core.errors import GateError
    from edgeresnet.quantize.report import QuantizeReport
    from edgeresnet.quantize.stage import quantize

    out = options.pop("out") or graph.with_suffix(".int8.onnx")
    _check_page(page, force=options["force"])
    try:
        with progress_bar(quiet=quiet) as progress:
            report = quantize(graph, out, progress=progress, **options)
    except GateError as error:
        if isinstance(error.report, QuantizeReport):  # refused: all the more to be explained
            _show(error.report, page, as_json=as_json, quiet=quiet)
        raise
    _show(report, page, as_json=as_json, quiet=quiet)


def _check_page(page: Path | None, *, force: bool) -> None:
    """Say what stands in the way of the page before the work."""
    from edgeresnet.core.errors import UsageError
    from edgeresnet.core.files import check_output

    if page is None:
        return
    if page.suffix == ".json":
        raise UsageError(f"--report {page}: the JSON lies beside the page", hint="name it .html")
    for path in (page, page.with_suffix(".json")):
        check_output(path, force=force)


def _show(report: QuantizeReport, page: Path | None, *, as_json: bool, quiet: bool) -> None:
    """The page where one is asked for, and what was found, as JSON or as tables."""
    from edgeresnet.quantize.report import write_page

    if page is not None:
        write_page(report, page)
    if as_json:
        if report.graph.sha256:  # else the error is the one object
            print_json(report.as_json())
        return
    for note in report.notes:
        say(note, quiet=quiet)
    print_quantize(report)
    for path, why in report.unreadable.items():
        say(f"skipped {path.name}: {why}", quiet=quiet)
    if page is not None:
        say(f"report: {page}", quiet=quiet)


def print_quantize(report: QuantizeReport) -> None:
    """The tables that a person reads."""
    gate = report.gate
    rows: list[tuple[str, object]] = []
    if gate is not None:
        for name, pair in (
            ("top-1", gate.top1),
            ("top-5", gate.top5),
            ("mAP@[.5:.95]", gate.map),
            ("mAP@.5", gate.map50),
        ):
            if pair is not None:
                rows.append((f"{name} float", pair[0]))
                rows.append((f"{name} INT8", pair[1]))
        written = bool(report.graph.sha256)
        told = {
            "inside": "inside",
            "outside": f"OUTSIDE ({'forced' if written else 'not written'})",
            "unchecked": "NOT CHECKED (no sure box)",
        }
        if gate.verdict != "unchecked":
            rows.append((gate.alike, gate.agreement))
            rows.append((f"points of {gate.metric} lost", gate.drop))
        rows.append(("budget", f"{gate.max_drop:g} points: {told[gate.verdict]}"))
    judged = "nothing judged: pass --eval" if gate is None else f"{gate.pictures} judge"
    rows += [
        ("pictures", f"{report.calibration_pictures} calibrate, {judged}"),
        ("ranges", _settled(report)),
        ("training match", report.training_match),
        ("scheme", report.graph.scheme.value),
        ("written", report.graph.path if report.graph.sha256 else "nothing"),
    ]
    print_table("", ("what", "percent (95 % interval)"), rows)
    if gate is not None and gate.verdict != "unchecked" and gate.needed > gate.pictures:
        click.echo(f"the interval is wide: about {gate.needed} pictures would narrow it")
    layers = [(n.layer, f"{n.snr_db:.1f}", f"{n.lost_db:.1f}") for n in report.worst_layers[:5]]
    if layers:
        print_table("\nlayers that add most noise", ("layer", "SNR dB", "lost dB"), layers)
    if report.budgeted is not None:
        steps = report.budgeted.as_json()["steps"]
        print_table(
            f"\nreturned to float, until no more than {report.budgeted.verdict.gate.max_drop:g} "
            f"points of {report.budgeted.verdict.gate.metric} are lost",
            ("layers", "returned now", "points lost", "as float %", "float share %"),
            [
                (
                    step["layers"],
                    step["returned"] or "",
                    f"{step['drop']:.2f}",
                    f"{step['agreement']:.2f}",
                    f"{100 * step['float_share']:.1f}",
                )
                for step in steps
            ],
        )
    if report.advice is not None:
        print_advice(report.advice)


def print_advice(advice: Advice) -> None:
    """What runs fastest here, and why."""
    told = advice.as_json()
    print_table(
        "\nmeasured on this machine, alternating",
        (
            "precision",
            "one picture ms",
            "times float32",
            "pictures/s",
            _ALIKE[told["agreement_of"]],
            "inside",
        ),
        [
            (
                other.name,
                f"{other.p50_ms:.2f}",
                f"{other.over(advice.alternatives[0]).value:.2f}",
                f"{other.images_per_s:.0f}",
                f"{other.agreement.percent.value:.2f}",
                "yes" if other.inside else "no",
            )
            for other in advice.alternatives
        ],
    )
    click.echo(f"best: {told['best']}; {told['reason']}")


def _settled(report: QuantizeReport) -> str:
    found = report.calibration.convergence
    if found.half_change is None:
        return "too few pictures to tell whether they settled"
    moved = f"{100 * found.half_change:.1f} % between half of the pictures and all"
    return f"settled ({moved})" if found.settled else f"NOT settled ({moved})"
