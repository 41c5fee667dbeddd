"""Vendor runtimes, one folder each; only that folder imports the vendor's package."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from edgeresnet.core.errors import MissingBackendError, UsageError
from edgeresnet.core.protocols import Backend
from edgeresnet.core.schema import nearest

BACKENDS = {
    "onnxruntime": "edgeresnet.backends.onnxruntime",
    "openvino": "edgeresnet.backends.openvino",
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
