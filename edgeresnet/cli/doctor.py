"""``edgeresnet doctor``."""

from __future__ import annotations

from typing import Any

import click

from edgeresnet.cli.console import print_json, print_table, progress_bar, say
from edgeresnet.cli.options import shared
from edgeresnet.core.errors import MissingBackendError


@click.command(epilog="Example: edgeresnet doctor --json")
@shared
@click.pass_context
def command(context: click.Context, /, *, as_json: bool, quiet: bool, **_: Any) -> None:
    """What this machine can do, and what is missing.

    Exit code 0 when a bundle can be run here, 3 when no runtime works.
    """
    from edgeresnet.doctor.checks import examine

    with progress_bar(quiet=quiet) as progress:
        diagnosis = examine(progress=progress)
    if as_json:
        checks = [
            {"name": c.name, "verdict": c.verdict.value, "found": c.found, "hint": c.hint}
            for c in diagnosis.checks
        ]
        print_json({"usable": diagnosis.usable, "checks": checks})
    else:
        rows = [(c.verdict.value, c.name, c.found, c.hint) for c in diagnosis.checks]
        print_table("", ("", "what", "found", "what to do"), rows)
    if not diagnosis.usable:
        say("no runtime works here: bundles cannot be run")
        context.exit(MissingBackendError.exit_code)
