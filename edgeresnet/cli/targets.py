"""``edgeresnet targets``: list the device profiles, or show one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from edgeresnet.cli.console import print_json, print_table
from edgeresnet.cli.options import shared

if TYPE_CHECKING:
    from edgeresnet.core.target import Published, Target

_FIGURES = ("precision", "batch", "ms", "frames/s", "power mode", "what was run", "published by")


@click.command(epilog="Example: edgeresnet targets jetson-orin-nano-8gb")
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
    target = load_target(name)
    if as_json:
        print_json(target.model_dump(mode="json"))
        return
    print_table("", ("key", "value"), _rows(target))
    if target.published:
        click.echo("")
        title = "ResNet-50 at 224x224 as others published it for this device; not measured by us"
        print_table(title, _FIGURES, map(_figures, target.published))


def _rows(target: Target) -> list[tuple[str, str]]:
    """Every key; of those for NVIDIA's devices only what the profile says."""
    plain = target.model_dump(mode="json", exclude={"published"})
    told = {
        "compute_capability": target.compute_capability,
        "precisions": ", ".join(target.precisions),
        "jetpacks": ", ".join(f"{j.jetpack} (TensorRT {j.tensorrt})" for j in target.jetpacks),
        "power_modes": ", ".join(target.power_modes),
    }
    shown = {
        **plain,
        "architecture": target.architecture or "any",
        **told,
        "options": ", ".join(f"{key} = {value}" for key, value in target.options.items()),
    }
    return [(key, str(value)) for key, value in shown.items() if value != ""]


def _figures(one: Published) -> tuple[str, ...]:
    return (
        one.precision,
        "" if one.batch is None else str(one.batch),
        "" if one.latency_ms is None else f"{one.latency_ms:.2f}",
        "" if one.fps is None else f"{one.fps:g}",
        one.power_mode or "not told",
        one.runtime,
        one.source,
    )
