"""``edgeresnet deploy``."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from edgeresnet.cli.console import print_json, print_table, progress_bar, say
from edgeresnet.cli.options import (
    PATH,
    PREPROCESS_KEYS,
    preprocess_overrides,
    preprocessing,
    shared,
)
from edgeresnet.cli.quantize import METHOD, print_quantize
from edgeresnet.core.errors import EdgeError, UsageError
from edgeresnet.core.progress import Progress

if TYPE_CHECKING:
    from edgeresnet.core.bundle import Bundle
    from edgeresnet.deploy.address import Address
    from edgeresnet.deploy.remote import RemoteReport
    from edgeresnet.deploy.stage import DeployReport

_CONVERT = ("arch", "stride_in", "classes")
_QUANTIZE = (
    "eval_images",
    "samples",
    "recipe",
    "method",
    "max_drop",
    "class_map",
    "annotations",
    "jobs",
    "advice",
)
_DEVICE = ("port", "ssh_option", "remote_dir", "remote_command", "seconds", "require_int8")
"""Options of what is done on the device: they need ``--to``."""
_ALWAYS = {"weights", "to", "report_file", "as_json", "force", "debug", "quiet", *_DEVICE}
"""All else is for weights, and of no use for what is a bundle already."""


@click.command(
    epilog="Examples:  edgeresnet deploy resnet50.pth --images ~/val --target intel-cpu   |   "
    "edgeresnet deploy resnet50.bundle --to pi@raspberrypi.local"
)
@click.argument("weights", metavar="WEIGHTS|BUNDLE")
@click.option("--images", type=PATH, help="Pictures: folder or CSV.")
@click.option("--target", help="Device profile, by name or TOML file.")
@click.option("--arch", help="Network; else read from the weights.")
@click.option("--stride-in", type=click.Choice(["1x1", "3x3"]), help="As for convert.")
@click.option("--classes", type=PATH, help="Class names.")
@preprocessing
@click.option("--eval", "eval_images", type=PATH, help="Gate pictures; else a half of --images.")
@click.option("--class-map", type=PATH, help="CSV or JSON: folder to class.")
@click.option(
    "--annotations",
    type=PATH,
    help="Of a detector: boxes of the pictures that judge, COCO file or folder of XML.",
)
@click.option("--samples", type=click.IntRange(1), help="Calibration pictures. [256]")
@click.option("--recipe", default="default", help="How, by name or TOML file. [default]")
@click.option("--method", type=METHOD, help="Over the recipe's.")
@click.option("--max-drop", type=click.FloatRange(0), help="Points that may be lost. [1.0]")
@click.option("--jobs", type=click.IntRange(1), help="Pictures at a time. [cores]")
@click.option("--advise", "advice", is_flag=True, help="Measure float, half and INT8 here.")
@click.option("-o", "--out", type=PATH, help="Bundle folder. [WEIGHTS' name + .bundle]")
@click.option("--to", metavar="[USER@]HOST[:PORT]", help="Then copy it there and prove it there.")
@click.option("--port", type=click.IntRange(1, 65535), help="Of ssh there.")
@click.option("--ssh-option", multiple=True, metavar="KEY=VALUE", help="For ssh -o; may repeat.")
@click.option("--remote-dir", help="Where bundles go, below the home there. [edgeresnet]")
@click.option("--remote-command", help="How edgeresnet is called there. [looked for]")
@click.option("--seconds", type=click.FloatRange(0, min_open=True), help="Of benchmark there. [10]")
@click.option("--require-int8", type=click.FloatRange(0, 1), help="As for compile --on-device.")
@click.option("--report", "report_file", type=PATH, help="Also write what --json tells to a file.")
@shared
@click.pass_context
def command(context: click.Context, /, **options: Any) -> None:
    """Convert WEIGHTS, quantize and compile for one device, in one; with --to, on to the device.

    There the bundle is verified, its engine made, proved and timed. A BUNDLE is only copied.
    """
    from edgeresnet.core.bundle import is_bundle
    from edgeresnet.core.files import check_output, write_text

    force, quiet, file = options["force"], options["quiet"], options["report_file"]
    made = is_bundle(Path(options["weights"]))
    _check(context, options, made=made)
    address = _address(options)
    if file is not None:
        check_output(file, force=force)
    report, found = None, None
    with progress_bar(quiet=quiet) as progress:
        if address is None:
            report = _stages(options, progress)
        elif made:
            found = _deploy_to(Path(options["weights"]), address, options, progress)
        else:
            _check_device(address, options)
            report = _stages(options, progress)
            folder = report.compiled.bundle.folder
            try:
                found = _deploy_to(folder, address, options, progress)
            except EdgeError:
                say(f"what was made is kept: edgeresnet deploy {folder} --to … goes on from there")
                raise
    data = _as_json(report, found)
    if file is not None:
        write_text(file, json.dumps(data, indent=2) + "\n")
    if options["as_json"]:
        print_json(data)
        return
    if report is not None:
        _print_stages(report, quiet=quiet)
    if found is not None:
        _print_device(found)


def _check(context: click.Context, options: dict[str, Any], *, made: bool) -> None:
    """Options that do not belong together."""
    spelled = {
        parameter.name: parameter.opts[-1]
        for parameter in context.command.params
        if parameter.name is not None
        and context.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE
    }
    weights, to = options["weights"], options["to"]
    if to is None and (unused := [spelled[name] for name in _DEVICE if name in spelled]):
        raise UsageError(f"{', '.join(unused)}: of a device, without --to", hint="--to user@host")
    if not made:
        for parameter in context.command.params:
            if parameter.name in ("images", "target") and options[parameter.name] is None:
                raise click.MissingParameter(ctx=context, param=parameter)
        return
    if to is None:
        raise UsageError(
            f"{weights} is a bundle already: nothing to do", hint="--to user@host copies it there"
        )
    if unused := [spelling for name, spelling in spelled.items() if name not in _ALWAYS]:
        raise UsageError(
            f"{weights} is a bundle already: {', '.join(unused)} cannot change it",
            hint="deploy WEIGHTS takes them, and so do convert, quantize and compile",
        )


def _address(options: dict[str, Any]) -> Address | None:
    from edgeresnet.deploy.address import parse_address

    if options["to"] is None:
        return None
    return parse_address(options["to"], options["port"], options["ssh_option"])


def _remote_command(options: dict[str, Any]) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(options["remote_command"] or ""))
    except ValueError as error:
        raise UsageError(f"--remote-command: {error}") from error


def _check_device(address: Address, options: dict[str, Any]) -> None:
    from edgeresnet.core.target import load_target
    from edgeresnet.deploy.device import extra_of
    from edgeresnet.deploy.remote import check_device

    target = load_target(options["target"])
    check_device(
        address,
        command=_remote_command(options),
        extra=extra_of(target.backend, target.options),
        tell=lambda line: say(line, quiet=options["quiet"]),
    )


def _deploy_to(
    bundle: Path, address: Address, options: dict[str, Any], progress: Progress
) -> RemoteReport:
    from edgeresnet.deploy.remote import FOLDER, SECONDS, deploy_to

    return deploy_to(
        bundle,
        address,
        folder=FOLDER if options["remote_dir"] is None else options["remote_dir"],
        command=_remote_command(options),
        seconds=options["seconds"] or SECONDS,
        require_int8=options["require_int8"],
        force=options["force"],
        progress=progress,
        tell=lambda line: say(line, quiet=options["quiet"]),
    )


def _stages(options: dict[str, Any], progress: Progress) -> DeployReport:
    from edgeresnet.deploy.stage import deploy

    weights = options["weights"]
    convert_options = {name: options[name] for name in _CONVERT}
    preprocess = {name: options[name] for name in ("preprocess_file", *PREPROCESS_KEYS)}
    return deploy(
        weights,
        options["out"] or Path(Path(weights.rpartition(":")[2]).stem + ".bundle"),
        images=options["images"],
        target=options["target"],
        convert_options={**convert_options, "preprocess": preprocess_overrides(preprocess)},
        quantize_options={name: options[name] for name in _QUANTIZE},
        force=options["force"],
        progress=progress,
    )


def _as_json(report: DeployReport | None, found: RemoteReport | None) -> dict[str, Any]:
    data: dict[str, Any] = {}
    if report is not None:
        advice = report.quantized.advice
        data = {
            **_bundle_json(report.compiled.bundle),
            "advice": advice.as_json() if advice is not None else None,
            "notes": [*report.quantized.notes, *report.compiled.notes],
        }
    if found is not None:
        data = {**_bundle_json(found.bundle), **data, "device": found.as_json()}
    return data


def _bundle_json(bundle: Bundle) -> dict[str, Any]:
    return {
        "bundle": str(bundle.folder),
        "digest": bundle.digest,
        "target": bundle.manifest.target.name,
        "evidence": bundle.manifest.evidence,
    }


def _print_stages(report: DeployReport, *, quiet: bool) -> None:
    for note in (*report.quantized.notes, *report.compiled.notes):
        say(note, quiet=quiet)
    print_quantize(report.quantized)
    rows = [
        ("network", f"{report.converted.arch}, {report.converted.training_match}"),
        ("golden check", f"relative error {report.compiled.golden_error:.2g}"),
        ("written", report.compiled.bundle.folder),
    ]
    print_table("", ("bundle", ""), rows)


def _print_device(found: RemoteReport) -> None:
    proof, speed = found.proof, found.speed
    share, allowed = proof.int8_share, found.bundle.manifest.golden.tolerance
    rows = [
        ("machine", speed.machine),
        ("bundle there", found.folder),
        ("digest, both ends", f"sha256 {found.bundle.digest[:16]}…"),
        ("copied by", found.copied_by or "nothing: it was there"),
        ("golden check", f"relative error {proof.golden_error:.2g}, {allowed:g} allowed"),
        ("products in INT8", "not told" if share is None else f"{100 * share:.1f} %"),
        ("engine, one frame", f"p50 {speed.p50_ms:.2f} ms, p99 {speed.p99_ms:.2f} ms"),
        ("end to end", f"{speed.fps:.1f} frames/s"),
    ]
    print_table("", (f"on {found.host}", ""), rows)
