"""How to quantize, as told by a file in ``calibration/recipes/``."""

from __future__ import annotations

from enum import Enum
from pathlib import Path

from pydantic import Field

from edgeresnet.core.errors import ProfileError
from edgeresnet.core.schema import Schema, nearest, parse, read_toml
from edgeresnet.core.shipped import profiles, shipped


class Method(str, Enum):
    """How an activation's range is chosen from its statistics."""

    MINMAX = "minmax"
    """The smallest and the largest value seen."""
    PERCENTILE = "percentile"
    """What covers ``percentile`` percent of the values seen."""
    ENTROPY = "entropy"
    """What loses least information (Kullback-Leibler divergence), as TensorRT's calibrator did."""
    MSE = "mse"
    """What has the least mean-squared error, clipping weighed against rounding."""
    LP = "lp"
    """The same for the error to the power ``power``: above 2, rare large values weigh more."""
    AUTO = "auto"
    """Each tensor's best of several, by the error measured at the network's output."""


class Recipe(Schema):
    """One way to quantize a network."""

    name: str
    description: str
    method: Method = Method.LP
    percentile: float = Field(99.99, gt=50, le=100)
    """Percent of values inside the range, for ``percentile``."""
    power: float = Field(2.4, ge=1, le=10)
    """Power of the error, for ``lp``."""
    bias_correction: bool = True
    """Whether biases make up for the mean error of the rounded weights."""
    equalize: bool = True
    """Whether channels are rescaled, from layer to layer, where that clearly lowers the noise."""
    samples: int = Field(256, gt=0)
    """Calibration pictures, at most."""
    seed: int = Field(0, ge=0)
    """Of the choice of pictures and of the split between calibration and gate."""
    max_drop: float = Field(1.0, ge=0)
    """Points of the task's metric that INT8 may lose."""
    float_nodes: tuple[str, ...] = ()
    """Names of graph nodes that stay in float."""


def recipe_names() -> list[str]:
    """Names of the recipes that ship with edgeresnet, sorted."""
    return profiles("calibration/recipes")


def load_recipe(name: str) -> Recipe:
    """Read the shipped recipe ``name``, or the recipe in the file ``name`` (``*.toml``)."""
    path = Path(name)
    if path.suffix != ".toml":
        path = shipped("calibration/recipes") / f"{name}.toml"
        if "/" in name or not path.is_file():
            raise ProfileError(f"no recipe named {name!r}", hint=nearest(name, recipe_names()))
    what = f"recipe {path.stem}"
    table = read_toml(path, what)
    if "name" in table:
        raise ProfileError(f"{what}: unknown key 'name'", hint="the file's name is the name")
    return parse(Recipe, {**table, "name": path.stem}, what)
