"""Vendor runtimes, one folder each; only that folder imports the vendor's package."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from edgeresnet.core.errors import MissingBackendError, UsageError
from edgeresnet.core.protocols import Backend
from edgeresnet.core.schema import nearest
from edgeresnet.core.target import Target

BACKENDS = {
    "onnxruntime": "edgeresnet.backends.onnxruntime",
    "openvino": "edgeresnet.backends.openvino",
    "tensorrt": "edgeresnet.backends.tensorrt",
}
"""Name, as written in ``targets/*.toml``, to the module that holds ``backend``."""


def get_backend(name: str) -> Backend:
    """The backend called ``name``; its vendor package is imported here and not before."""
    if name not in BACKENDS:
        raise UsageError(f"no backend named {name!r}", hint=nearest(name, BACKENDS))
    try:
        module = import_module(BACKENDS[name])
    except (ImportError, OSError) as error:
        raise MissingBackendError(
            f"backend {name} cannot be loaded: {str(error).splitlines()[0]}",
            hint=f"pip install 'edgeresnet[{name}]'",
        ) from error
    return cast("Backend", module.backend)


def in_precision(backend: Backend, target: Target, precision: str) -> Target:
    """``target`` with the options that make ``backend`` compute float graphs in ``precision``."""
    found = backend.precisions(target)
    if precision not in found:
        raise UsageError(
            f"{backend.name} on this machine's {target.device} has no {precision!r}",
            hint=f"it has: {', '.join(found)}",
        )
    return target.with_options(found[precision])


def precision_of(backend: Backend, target: Target) -> str:
    """What ``backend`` computes float graphs in by the options of ``target``."""
    chosen = "float32"
    for name, options in backend.precisions(target).items():
        if options.items() <= target.options.items():
            chosen = name
    return chosen
