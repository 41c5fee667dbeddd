"""Which of NVIDIA's modules is here, and what its TensorRT can do, told by what it has."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from edgeresnet.core.errors import MissingBackendError, ModelError

MODULES = ("tensorrt", "tensorrt_rtx", "tensorrt_bindings")
"""TensorRT, TensorRT-RTX, and the bindings alone beside libraries from elsewhere."""
_TEGRA = Path("/etc/nv_tegra_release")


def find(module: str) -> Any:
    """The vendor's module; MissingBackendError says how to get it on this kind of machine."""
    try:
        return import_module(module)
    except Exception as error:  # a stub package, a library that is not there or does not fit
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise MissingBackendError(
            f"{module} cannot be loaded: {reason[:160]}", hint=_advice(module, reason)
        ) from error


def first(find: Callable[[str], Any] = find) -> Any:
    """The first of :data:`MODULES` that is here; the error is the first one's."""
    try:
        return find(MODULES[0])
    except MissingBackendError:
        for module in MODULES[1:]:
            with suppress(MissingBackendError):
                return find(module)
        raise


def _advice(module: str, reason: str) -> str:
    if module == "tensorrt_rtx":
        return "pip install tensorrt-rtx-cu13"
    if _TEGRA.exists():
        if sys.prefix != sys.base_prefix and not _sees_system():
            return "on a Jetson TensorRT is the system's: python3 -m venv --system-site-packages"
        return "sudo apt install python3-libnvinfer, with JetPack's own Python"
    if "libnv" in reason:
        return "the libraries are absent or of another version: pip install tensorrt-cu13"
    return "pip install tensorrt-cu13 (x86-64, from NVIDIA's index); on a Jetson it is JetPack's"


def _sees_system() -> bool:
    try:
        text = (Path(sys.prefix) / "pyvenv.cfg").read_text(encoding="utf-8")
    except OSError:
        return True
    return "include-system-site-packages = true" in text


def version(trt: Any) -> str:
    """As ``10.3.0``."""
    return str(trt.__version__)


def has(kind: Any, member: str) -> bool:
    """Whether an enum has a member; versions differ in members and in their values."""
    return member in kind.__members__


def flag(kind: Any, member: str) -> int:
    """The bit of a member; 0 where this version has none."""
    return 1 << int(getattr(kind, member)) if has(kind, member) else 0


def check_typing(trt: Any, typing: str) -> None:
    """ModelError when this TensorRT cannot build graphs typed so."""
    if typing == "strong" and not has(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED"):
        raise ModelError(
            f"TensorRT {version(trt)} has no strongly typed networks, which this bundle needs",
            hint="TensorRT 10 or later (JetPack 6), or a target with options typing = 'weak'",
        )
    if typing == "weak" and not has(trt.BuilderFlag, "INT8"):
        raise ModelError(
            f"TensorRT {version(trt)} has strongly typed networks only, this bundle asks for flags",
            hint="compile the graph again for a target with options typing = 'strong'",
        )


def platform_identity() -> str:
    """Release of the driver, or of a Jetson's L4T: an engine is good for one only."""
    for path in (_TEGRA, Path("/proc/driver/nvidia/version")):
        try:
            return " ".join(path.read_text(encoding="utf-8", errors="replace").split()[:16])
        except OSError:
            continue
    return os.uname().machine if hasattr(os, "uname") else ""
