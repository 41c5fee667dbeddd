"""``edgeresnet compile``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgeresnet.cli.console import print_json, print_table, progress_bar, say
from edgeresnet.cli.layers import gate, layers_json, print_layers
from edgeresnet.cli.options import PATH, shared
from edgeresnet.core.errors import UsageError

if TYPE_CHECKING:
    from edgeresnet.compile.on_device import DeviceReport
    from edgeresnet.compile.stage import CompileReport

_OF_A_GRAPH = {"target": "--target", "precision": "--precision", "out": "--out"}


@click.command(
    epilog="Examples:  edgeresnet compile resnet50.int8.onnx --target intel-cpu   |   "
    "edgeresnet compile resnet50.bundle --on-device --require-int8 0.95"
)
@click.argument("graph", type=PATH, metavar="GRAPH|BUNDLE")
@click.option("--target", help="Device profile, NAME or file. [generic-cpu]")
@click.option("--precision", help="Of a float graph: float32, bfloat16, float16. [float32]")
@click.option(
    "--on-device",
    is_flag=True,
    help="Make the engine here, prove it and tell what it is made of; takes a BUNDLE too.",
)
@click.option(
    "--require-int8",
    type=click.FloatRange(0, 1),
    help="With --on-device: exit 5 when a smaller share of the layers runs in INT8.",
)
@click.option("--layers", "every", is_flag=True, help="With --on-device: a line for every layer.")
@click.option("-o", "--out", type=PATH, help="Bundle folder. [GRAPH's name + .bundle]")
@shared
def command(
    graph: Path,
    *,
    on_device: bool,
    require_int8: float | None,
    every: bool,
    force: bool,
    as_json: bool,
    quiet: bool,
    debug: bool,  # noqa: ARG001
    **options: Any,
) -> None:
    """Compile GRAPH for one device into a bundle that proves itself wherever it is opened.

    With --on-device, on the device: build the engine that its first run would build, and prove it.
    """
    from edgeresnet.compile.on_device import prove_on_device

    if not on_device and (require_int8 is not None or every):
        raise UsageError("--require-int8 and --layers tell of an engine: they need --on-device")
    bundle, compiled, found = graph, None, None
    with progress_bar(quiet=quiet) as progress:
        if not (on_device and graph.is_dir()):
            from edgeresnet.compile.stage import compile_graph  # needs the host's packages

            given = {key: value for key, value in options.items() if value is not None}
            bundle = given.pop("out", Path(graph.name.removesuffix(".onnx") + ".bundle"))
            compiled = compile_graph(graph, bundle, force=force, progress=progress, **given)
        elif fixed := [name for key, name in _OF_A_GRAPH.items() if options[key] is not None]:
            raise UsageError(
                f"{graph} is compiled already: {', '.join(fixed)} cannot change it",
                hint=f"edgeresnet compile GRAPH {fixed[0]} …",
            )
        if on_device:
            found = prove_on_device(bundle, progress=progress)
    required = require_int8 if found is not None and not force else None
    if as_json:
        if required is not None and found is not None:  # one object on stdout: this or the error
            gate(found.layers, required)
        data = _compiled_json(compiled) if compiled is not None else {}
        print_json({**data, **(_found_json(found) if found is not None else {})})
    else:
        if compiled is not None:
            _print_compiled(compiled, quiet=quiet)
        if found is not None:
            _print_found(found, every=every)
            if required is not None:
                gate(found.layers, required)


def _compiled_json(report: CompileReport) -> dict[str, Any]:
    manifest = report.bundle.manifest
    return {
        "bundle": str(report.bundle.folder),
        "digest": report.bundle.digest,
        "target": manifest.target.name,
        "scheme": manifest.scheme.value,
        "golden": manifest.golden.model_dump(),
        "notes": list(report.notes),
    }


def _print_compiled(report: CompileReport, *, quiet: bool) -> None:
    manifest = report.bundle.manifest
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


def _found_json(report: DeviceReport) -> dict[str, Any]:
    from edgeresnet.core.layers import int8_share

    manifest = report.bundle.manifest
    return {
        "bundle": str(report.bundle.folder),
        "digest": report.bundle.digest,
        "target": manifest.target.name,
        "scheme": manifest.scheme.value,
        "backend": manifest.artifact.backend,
        "backend_version": report.backend_version,
        "golden_error": float(f"{report.golden_error:.3g}"),
        "recompiled": report.recompiled,
        "ready_s": round(report.ready_s, 1),
        "int8_share": round(int8_share(report.layers), 4) if report.layers else None,
        "layers": layers_json(report.layers),
    }


def _print_found(report: DeviceReport, *, every: bool) -> None:
    manifest = report.bundle.manifest
    allowed = manifest.golden.tolerance
    rows = [
        ("backend", f"{manifest.artifact.backend} {report.backend_version}"),
        ("golden check", f"relative error {report.golden_error:.2g}, {allowed:g} allowed"),
        ("ready after", f"{report.ready_s:.1f} s"),
    ]
    print_table("\non this device", ("what", "found"), rows)
    print_layers(report.layers, every=every)
