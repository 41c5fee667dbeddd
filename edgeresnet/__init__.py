"""A trained ResNet to INT8 engines on edge devices, every step proved.

::

    checkpoint --convert--> graph --quantize--> INT8 graph --compile--> bundle --run--> predictions

Five names are the Python interface: ``convert``, ``quantize``, ``compile_graph``, ``evaluate`` and
``open``. Each is imported when it is first used.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", "100000000")  # before anyone imports cv2

if TYPE_CHECKING:
    from edgeresnet.compile.stage import compile_graph as compile_graph
    from edgeresnet.convert.stage import convert as convert
    from edgeresnet.evaluate.stage import evaluate as evaluate
    from edgeresnet.quantize.stage import quantize as quantize
    from edgeresnet.run.model import open_model as open  # noqa: A004

__version__ = "0.1.0"
__all__ = ["__version__", "compile_graph", "convert", "evaluate", "open", "quantize"]

_PUBLIC = {
    "compile_graph": ("edgeresnet.compile.stage", "compile_graph"),
    "convert": ("edgeresnet.convert.stage", "convert"),
    "evaluate": ("edgeresnet.evaluate.stage", "evaluate"),
    "open": ("edgeresnet.run.model", "open_model"),
    "quantize": ("edgeresnet.quantize.stage", "quantize"),
}


def _public(name: str) -> property:
    """A name that stays the function although a folder of the same name is imported as well."""
    module, function = _PUBLIC[name]

    def get(_package: ModuleType) -> Any:
        return getattr(import_module(module), function)

    def keep(_package: ModuleType, _folder: ModuleType) -> None:
        """The import system binds the folder here; ``import edgeresnet.convert.x`` needs not."""

    return property(get, keep)


class _Package(ModuleType):
    """The package itself, with its public functions as properties."""

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *_PUBLIC})


for _name in _PUBLIC:
    setattr(_Package, _name, _public(_name))
sys.modules[__name__].__class__ = _Package
