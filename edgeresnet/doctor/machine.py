"""The machine itself: Python, processor, memory, disk, C library."""

from __future__ import annotations

import platform
import re
import shutil
import sys
from pathlib import Path

import edgeresnet
from edgeresnet.core.cores import cores
from edgeresnet.doctor.verdict import Check, advice, ok
from edgeresnet.metrics.processor import read_processor

_OTHER = {"avx2": "AVX2", "avx512_bf16": "AVX-512 BF16"}
_GIB = 1 << 30
_DEVICE_MEMORY_GIB, _HOST_DISK_GIB = 1.0, 2.0
_OPENVINO_ARM_GLIBC = (2, 35)
_HOST_PYTHON = (3, 11)


def look(host: Path) -> tuple[Check, ...]:
    """All checks of this module."""
    return (
        python(sys.version_info[:2]),
        ok("edgeresnet", edgeresnet.__version__),
        *processor(host, platform.machine()),
        memory(host),
        disk(Path.cwd()),
        c_library(platform.libc_ver(), platform.machine()),
    )


def python(version: tuple[int, int]) -> Check:
    """Enough for the device part, or for all."""
    found = f"{platform.python_version()} in {sys.prefix}"
    if version >= _HOST_PYTHON:
        return ok("python", found)
    return advice(
        "python", found, "runs bundles; convert, quantize and compile need Python 3.11 or later"
    )


def processor(host: Path, architecture: str) -> tuple[Check, Check]:
    """Its name and cores, and the instructions that decide how fast INT8 is."""
    known = read_processor(host)
    board = _read(host / "proc/device-tree/model").strip("\0\n ")
    found = f"{board or known.name}, {architecture}, {cores()} cores for this process"
    other = [title for flag, title in _OTHER.items() if flag in known.flags]
    shown = ", ".join([*known.int8, *other]) or "none of those that matter"
    if not known.flags:
        instructions = advice(
            "instructions", "cannot be read here", "measure: edgeresnet benchmark"
        )
    elif known.int8:
        instructions = ok("instructions", shown)
    else:
        instructions = advice(
            "instructions",
            shown,
            "INT8 gains little without VNNI, AMX or ARM's dot product: compare with float",
        )
    return ok("processor", found), instructions


def memory(host: Path) -> Check:
    """Memory of the machine, or of the container where that is less."""
    entries: dict[str, str] = dict(
        re.findall(r"^(\w+):\s+(\d+) kB$", _read(host / "proc/meminfo"), re.MULTILINE)
    )
    if "MemTotal" not in entries:
        return ok("memory", "cannot be read here")
    total = int(entries["MemTotal"]) / (1 << 20)
    free = int(entries.get("MemAvailable", entries["MemTotal"])) / (1 << 20)
    limit = _read(host / "sys/fs/cgroup/memory.max").strip()
    inside = ""
    if limit.isdecimal() and int(limit) / _GIB < total:
        total, inside = int(limit) / _GIB, " for this container"
        free = min(free, total)
    found = f"{total:.1f} GiB{inside}, {free:.1f} available"
    if free < _DEVICE_MEMORY_GIB:
        return advice("memory", found, "a ResNet-50 bundle needs about 0.3 GiB, converting about 2")
    return ok("memory", found)


def disk(folder: Path) -> Check:
    """Room in the current folder."""
    free = shutil.disk_usage(folder).free / _GIB
    found = f"{free:.1f} GiB free in {folder}"
    if free < _HOST_DISK_GIB:
        return advice("disk", found, "graphs and bundles of one ResNet-50 take about 0.5 GiB")
    return ok("disk", found)


def c_library(version: tuple[str, str], architecture: str) -> Check:
    """Which wheels pip may take; OpenVINO's for ARM are the pickiest."""
    library, number = version
    if library != "glibc":
        return advice(
            "C library",
            f"{library or 'not glibc'} {number}".strip(),
            "runtimes publish wheels for glibc: on Alpine take a Debian image",
        )
    parts = tuple(int(part) for part in number.split(".")[:2])
    if architecture == "aarch64" and parts < _OPENVINO_ARM_GLIBC:
        return advice(
            "C library",
            f"glibc {number}",
            "OpenVINO's ARM wheels need 2.35 (Ubuntu 22.04, Debian 12); ONNX Runtime works",
        )
    return ok("C library", f"glibc {number}")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
