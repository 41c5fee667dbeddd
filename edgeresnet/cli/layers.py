"""What an engine is made of, for a person to read, and the gate of ``--require-int8``."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import Any

import click

from edgeresnet.cli.console import print_table
from edgeresnet.core.errors import GateError
from edgeresnet.core.layers import (
    EngineLayer,
    fallen,
    findings,
    int8_share,
    named,
    principal,
    summary,
)

UNKNOWN = "not told"
_NAMED = 12
"""Layers that a failed gate names; the table has them all."""


def print_layers(
    layers: Sequence[EngineLayer],
    *,
    every: bool = False,
    quantized: Collection[str] | None = None,
) -> None:
    """How many layers of which kind and precision, then what keeps the engine from INT8.

    ``every`` adds a line a layer, in the order in which they run. ``quantized``: see
    :func:`~edgeresnet.core.layers.findings`.
    """
    if not layers:
        click.echo("this runtime does not tell what its engine is made of")
        return
    rows = [(kind, precision or UNKNOWN, count) for kind, precision, count in summary(layers)]
    print_table("", ("layers", "precision", "count"), rows)
    click.echo(f"in INT8: {_counted(layers)}")
    for finding in findings(layers, quantized):
        click.echo(f"- {finding}")
    if every:
        listed = [
            (i, principal(layer), layer.kind, layer.precision or UNKNOWN, _fused(layer))
            for i, layer in enumerate(layers, 1)
        ]
        print_table("", ("", "layer", "kind", "precision", "fused with it"), listed)


def layers_json(layers: Sequence[EngineLayer]) -> list[dict[str, Any]]:
    """Each layer as an object of JSON."""
    return [asdict(layer) for layer in layers]


def gate(layers: Sequence[EngineLayer], least: float) -> None:
    """GateError where a smaller share than ``least`` (0 to 1) of the products runs in INT8.

    An engine of which nothing is known does not pass: it is not known to run in INT8.
    """
    if not any(layer.multiplies for layer in layers):
        raise GateError(
            "what runs in INT8 is not known: this runtime does not tell what its engine is made of",
            hint="--require-int8 works with OpenVINO and TensorRT",
        )
    if int8_share(layers) < least:
        fell = fallen(layers)
        silent = all(not layer.precision for layer in fell)
        how = "of unknown precision" if silent else "not in INT8"
        raise GateError(
            f"in INT8: {_counted(layers)}; at least {100 * least:g} % was asked for; "
            f"{how}: {named(fell, _NAMED)}",
            hint="--layers lists them all; is the graph quantized for this target?",
        )


def _counted(layers: Sequence[EngineLayer]) -> str:
    products = sum(layer.multiplies for layer in layers)
    share = f" ({100 * int8_share(layers):.1f} %)" if products else ""
    return f"{products - len(fallen(layers))} of {products} convolutions and matrix products{share}"


def _fused(layer: EngineLayer) -> str:
    shown = principal(layer)
    return ", ".join(node for node in layer.nodes if node != shown)
