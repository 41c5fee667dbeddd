"""What machine a figure was measured on."""

from __future__ import annotations

import os
import platform
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PACKAGES = ("openvino", "onnxruntime", "tensorrt", "opencv-python-headless", "av", "numpy")
_FLAGS = ("avx2", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "asimddp", "i8mm")


@lru_cache(maxsize=1)
def fingerprint() -> dict[str, Any]:
    """CPU, instruction sets that matter, usable cores, operating system, package versions."""
    packages = {}
    for package in _PACKAGES:
        try:
            packages[package] = version(package)
        except PackageNotFoundError:
            continue
    cpu, flags = _cpu()
    affinity = getattr(os, "sched_getaffinity", None)
    return {
        "cpu": cpu,
        "flags": flags,
        "cores": len(affinity(0)) if affinity else os.cpu_count(),
        "machine": platform.machine(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": packages,
    }


def _cpu() -> tuple[str, list[str]]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine(), []
    fields: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    words = set((fields.get("flags") or fields.get("Features") or "").split())
    name = fields.get("model name") or fields.get("Model") or platform.machine()
    return name, [flag for flag in _FLAGS if flag in words]
