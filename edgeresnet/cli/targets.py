"""``edgeresnet targets``: list the device profiles, or show one."""

from __future__ import annotations

import click

from edgeresnet.cli.console import print_json, print_table
from edgeresnet.cli.options import shared


@click.command(epilog="Example: edgeresnet targets intel-cpu")
@click.argument("name", required=False)
@shared
def command(name: str | None, *, as_json: bool, **_: object) -> None:
    """List the device profiles, or show one (a NAME or a TOML file)."""
    from edgeresnet.core.target import load_target, target_names

    if name is None:
        listed = [load_target(n) for n in target_names()]
        if as_json:
            print_json({"targets": [t.model_dump(mode="json") for t in listed]})
            return
        rows = [(t.name, t.backend, t.scheme.value, t.description) for t in listed]
        print_table("", ("target", "backend", "scheme", "what"), rows)
        return
    target = load_target(name).model_dump(mode="json")
    if as_json:
        print_json(target)
    else:
        print_table("", ("key", "value"), target.items())
