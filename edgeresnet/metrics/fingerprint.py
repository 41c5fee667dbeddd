"""What machine a figure was measured on."""

from __future__ import annotations

import platform
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from edgeresnet.core.cores import cores
from edgeresnet.metrics.jetson import read_jetson
from edgeresnet.metrics.processor import read_processor

_PACKAGES = ("openvino", "onnxruntime", "tensorrt", "opencv-python-headless", "av", "numpy")
_FLAGS = ("avx2", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "asimddp", "i8mm")


@lru_cache(maxsize=1)
def fingerprint(host: Path = Path("/")) -> dict[str, Any]:
    """CPU, instruction sets that matter, usable cores, operating system, package versions.

    Of a Jetson also what its speed depends on: model, L4T, power mode and clocks, as they were when
    this was first asked. Files are read below ``host``.
    """
    packages = {}
    for package in _PACKAGES:
        try:
            packages[package] = version(package)
        except PackageNotFoundError:
            continue
    processor, jetson = read_processor(host), read_jetson(host)
    return {
        "cpu": processor.name,
        "flags": [flag for flag in _FLAGS if flag in processor.flags],
        "cores": cores(),
        "machine": platform.machine(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": packages,
        **({} if jetson is None else {"jetson": jetson.as_json()}),
    }
