"""Find ``targets/`` and ``calibration/``, from a wheel or from a checkout.

The build copies both folders to ``edgeresnet/_shipped/`` inside the wheel. In a checkout, editable
installs included, there is no ``_shipped`` beside the code, and the folders at the root are live.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

PACKAGE = Path(__file__).parents[1]


def shipped(folder: Literal["targets", "calibration/recipes", "calibration/sets"]) -> Path:
    """The folder as it ships with this very copy of edgeresnet."""
    packed = PACKAGE / "_shipped" / folder
    return packed if packed.is_dir() else PACKAGE.parent / folder


def profiles(folder: Literal["targets", "calibration/recipes", "calibration/sets"]) -> list[str]:
    """Names of the TOML files in a shipped folder, sorted."""
    return sorted(path.stem for path in shipped(folder).glob("*.toml"))
