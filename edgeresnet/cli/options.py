"""Options that several commands share, each spelled once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

PATH = click.Path(path_type=Path)


def shared(function: F) -> F:
    """``--json --force --debug -q``, on every command."""
    for option in (
        click.option("-q", "--quiet", is_flag=True, help="No progress."),
        click.option("--debug", is_flag=True, help="Show the traceback of any error."),
        click.option("--force", is_flag=True, help="Overwrite outputs; write what a gate refused."),
        click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout."),
    ):
        function = option(function)
    return function


class Numbers(click.ParamType[tuple[float, ...]]):
    """Comma-separated numbers: ``0.485,0.456,0.406``."""

    name = "numbers"

    def __init__(self, count: int) -> None:
        self._count = count

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        """Exactly ``count`` floats."""
        if isinstance(value, tuple):
            return value
        try:
            numbers = tuple(float(part) for part in str(value).split(","))
        except ValueError:
            numbers = ()
        if len(numbers) != self._count:
            self.fail(f"{value!r} is not {self._count} comma-separated numbers", param, ctx)
        return numbers


class Size(click.ParamType[tuple[int, int]]):
    """``224``, or height x width ``256x192``."""

    name = "size"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Height and width."""
        if isinstance(value, tuple):
            return value
        try:
            parts = [int(part) for part in str(value).lower().split("x")]
        except ValueError:
            parts = []
        if len(parts) not in (1, 2) or min(parts) <= 0:
            self.fail(f"{value!r} is not a size: 224 or HEIGHTxWIDTH", param, ctx)
        return parts[0], parts[-1]


def preprocessing(function: F) -> F:
    """The options that say how the network was trained to see."""
    choice = click.Choice
    for option in (
        click.option("--preprocess", "preprocess_file", type=PATH, help="All of these from JSON."),
        click.option("--color", type=choice(["rgb", "bgr"]), help="Channel order. [rgb]"),
        click.option("--scale", type=float, help="Factor on 0..255, before mean and std. [1/255]"),
        click.option("--std", type=Numbers(3), help="Of the scaled channels, in --color order."),
        click.option("--mean", type=Numbers(3), help="Of the scaled channels. [ImageNet's]"),
        click.option(
            "--interpolation",
            type=choice(["bilinear", "bicubic", "linear", "area", "nearest"]),
            help="bilinear is antialiased as torchvision's. [bilinear]",
        ),
        click.option(
            "--crop",
            type=choice(["center", "none", "letterbox"]),
            help="none: stretch to --size. [center]",
        ),
        click.option("--resize", type=int, help="Shorter side before the crop. [256]"),
        click.option("--size", type=Size(), help="Network input, N or HEIGHTxWIDTH. [224]"),
    ):
        function = option(function)
    return function


PREPROCESS_KEYS = ("size", "resize", "crop", "interpolation", "mean", "std", "scale", "color")


def preprocess_overrides(options: dict[str, Any]) -> dict[str, Any]:
    """The fields of Preprocess that the command line sets; removes them from ``options``."""
    from edgeresnet.core.preprocess import read_preprocess

    file = options.pop("preprocess_file")
    overrides: dict[str, Any] = {}
    if file is not None:
        overrides = read_preprocess(file)
    for key in PREPROCESS_KEYS:
        value = options.pop(key)
        if value is not None:
            overrides[key] = value
    return overrides
