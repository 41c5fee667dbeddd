"""``edgeresnet inspect``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from edgeresnet.cli.console import print_json, print_table
from edgeresnet.cli.options import PATH, shared
from edgeresnet.core.errors import ModelError, UsageError

if TYPE_CHECKING:
    from edgeresnet.convert.describe import CheckpointReport
    from edgeresnet.core.preprocess import Preprocess
    from edgeresnet.inspect.bundle import BundleReport
    from edgeresnet.inspect.lint_file import LintReport
    from edgeresnet.inspect.onnx_file import OnnxReport

Rows: TypeAlias = list[tuple[str, object]]
_KEYS = 12
_BECAUSE = {
    "scheme": "as asked",
    "target": "the target's",
    "graph": "its own",
    "guess": "assumed from its Q/DQ; --target or --scheme says otherwise",
}


@click.command(
    epilog="Examples:  edgeresnet inspect resnet50.pth   |   edgeresnet inspect resnet50.bundle"
)
@click.argument("file", type=PATH)
@click.option("--lint", is_flag=True, help="What a vendor refuses or misreads in a graph's Q/DQ.")
@click.option("--target", help="Lint for this device profile, NAME or file. [the graph's scheme]")
@click.option(
    "--scheme", type=click.Choice(["float", "u8-affine", "s8-symmetric"]), help="Instead."
)
@shared
def command(
    file: Path,
    *,
    lint: bool,
    target: str | None,
    scheme: str | None,
    as_json: bool,
    **_: Any,
) -> None:
    """What a checkpoint, graph, ONNX file or bundle holds.

    A bundle is checked byte for byte against its seal. Nothing is executed and no engine loaded.
    With --lint: exit code 4 where there is an error.
    """
    from edgeresnet.core.files import existing_file

    if lint:
        from edgeresnet.inspect.lint_file import lint_onnx

        linted = lint_onnx(file, target=target, scheme=scheme)
        print_json(linted.as_json()) if as_json else _print_lint(linted)
        click.get_current_context().exit(ModelError.exit_code if linted.errors else 0)
    if target or scheme:
        raise UsageError("--target and --scheme say for whom to lint", hint="add --lint")
    report: CheckpointReport | OnnxReport | BundleReport
    if file.is_dir():
        from edgeresnet.inspect.bundle import inspect_bundle

        report = inspect_bundle(file)
        rows = _bundle(report)
    elif file.suffix == ".onnx":
        from edgeresnet.inspect.onnx_file import inspect_onnx

        report = inspect_onnx(existing_file(file, "inspect"))
        rows = _onnx(report)
    else:
        existing_file(file, "inspect")
        from edgeresnet.convert.describe import describe_checkpoint

        report = describe_checkpoint(file)
        rows = _checkpoint(report)
    if as_json:
        print_json(report.as_json())
    else:
        print_table("", ("what", "found"), rows)


def _print_lint(report: LintReport) -> None:
    click.echo(f"{report.path} as {report.scheme.value} ({_BECAUSE[report.because]})")
    if not report.findings:
        click.echo("no findings")
        return
    rows = [(f.severity, f.rule, f.node, f.what, f.fix) for f in report.findings]
    print_table("", ("severity", "rule", "node", "what", "fix"), rows)
    warnings = len(report.findings) - report.errors
    click.echo(f"errors: {report.errors}, warnings: {warnings}")


def _checkpoint(report: CheckpointReport) -> Rows:

    checkpoint, spec = report.checkpoint, report.spec
    rows: Rows = [("kind", "checkpoint")]
    if spec is None:
        rows.append(("network", f"none that edgeresnet knows: {report.unknown}"))
        shapes = checkpoint.shapes
        rows += [(name, "x".join(map(str, shape))) for name, shape in list(shapes.items())[:_KEYS]]
        if len(shapes) > _KEYS:
            rows.append(("", f"and {len(shapes) - _KEYS} more"))
    else:
        width = "" if spec.width == 1 else f", width {spec.width:g}"
        rows.append(("network", f"{report.arch}{width}"))
        rows.append(("classes", spec.classes))
        stride = checkpoint.stride_in or "not told by the file; 3x3 unless --images finds otherwise"
        if spec.block == "bottleneck":
            rows.append(("stride in", stride))
    rows.append(("parameters", f"{report.parameters:,}"))
    if checkpoint.preprocess is not None:
        rows.append(("preprocess", _preprocess(checkpoint.preprocess)))
    rows += _labels(len(checkpoint.labels or ()))
    return [*rows, ("sha256", checkpoint.sha256)]


def _onnx(report: OnnxReport) -> Rows:
    graph = report.graph
    rows: Rows = [("kind", "ONNX file of another tool" if graph is None else "contract graph")]
    if graph is not None:
        rows.append(("network", report.arch))
    rows += [("input", spec) for spec in report.inputs]
    rows += [("output", spec) for spec in report.outputs]
    if graph is not None:
        rows += [
            ("scheme", graph.scheme.value),
            ("task", graph.task),
            ("preprocess", _preprocess(graph.preprocess)),
            *_labels(len(graph.labels)),
            *_evidence(graph.evidence),
        ]
    nodes = ", ".join(f"{count} {name}" for name, count in report.nodes.items())
    return [
        *rows,
        ("nodes", nodes),
        ("parameters", f"{report.parameters:,}"),
        ("opset", report.opset),
        *([("made with", report.producer)] if report.producer else []),
        ("sha256", report.sha256),
    ]


def _bundle(report: BundleReport) -> Rows:
    manifest = report.bundle.manifest
    artifact, golden = manifest.artifact, manifest.golden
    proof = f"relative error {golden.at_compile:g} when compiled, {golden.tolerance:g} allowed"
    return [
        ("kind", "bundle, every byte as it was sealed"),
        ("target", f"{manifest.target.name} ({artifact.backend} {artifact.backend_version})"),
        ("scheme", manifest.scheme.value),
        ("task", manifest.task),
        *[("input", spec) for spec in report.bundle.artifact.inputs],
        *[("output", spec) for spec in report.bundle.artifact.outputs],
        ("preprocess", _preprocess(manifest.preprocess)),
        ("normalised by", artifact.normalisation),
        *_labels(len(report.bundle.labels)),
        *_evidence(manifest.evidence),
        ("golden", f"{golden.pictures} pictures, {proof}"),
        *[("file", f"{name}, {size / 1e6:.1f} MB") for name, size in report.sizes.items()],
        ("model", manifest.model),
        ("made with", ", ".join(f"{k} {v}" for k, v in manifest.made_with.items())),
        ("digest", report.bundle.digest),
    ]


def _labels(count: int) -> Rows:
    """Names of classes; what embeds has none."""
    return [("labels", count)] if count else []


def _evidence(evidence: Mapping[str, Any]) -> Rows:
    return [
        (
            name.replace("_", " "),
            "; ".join(found[key] for key in ("verdict", "note") if key in found),
        )
        for name, found in evidence.items()
    ]


def _preprocess(preprocess: Preprocess) -> str:
    height, width = preprocess.size
    crop = (
        f"resize {preprocess.resize}, crop"
        if preprocess.crop.value == "center"
        else {"none": "stretch to", "letterbox": "letterbox"}[preprocess.crop.value]
    )
    mean, std = (
        ", ".join(f"{v:g}" for v in values) for values in (preprocess.mean, preprocess.std)
    )
    return (
        f"{crop} {height}x{width}, {preprocess.interpolation.value}, {preprocess.color.value}, "
        f"scale {preprocess.scale:.6g}, mean {mean}, std {std}"
    )
