"""A Jetson: board, release, TensorRT's library, power mode, clocks, swap."""

from __future__ import annotations

import re
from pathlib import Path

from edgeresnet.core.jetson import OLDEST_JETPACK, OLDEST_TENSORRT, retired
from edgeresnet.core.shipped import profiles
from edgeresnet.doctor import csi
from edgeresnet.doctor.nvidia import in_container
from edgeresnet.doctor.verdict import Check, advice, missing, ok
from edgeresnet.metrics.jetson import Clock, Jetson, package_version, read, read_jetson

_LIBRARIES = "usr/lib/aarch64-linux-gnu"
_PACKAGES = "var/lib/dpkg/status"
_KB_PER_GIB = 1 << 20
_SMALL_GIB, _ANY_GIB = 8, 1 << 20
_UPGRADE = "flash JetPack 6.2 or later (SDK Manager)"
_SWAP = (
    "sudo fallocate -l 4G /swapfile && sudo chmod 600 /swapfile && sudo mkswap /swapfile && "
    "sudo swapon /swapfile"
)


def look(host: Path) -> tuple[Check, ...]:
    """All checks of this module, none where this is no Jetson."""
    found = read_jetson(host)
    if found is None:
        return ()
    inside = in_container(host)
    needed = () if retired(found.model) else (release(found, inside=inside), library(host))
    return (
        board(found, _memory_gib(host)),
        *needed,
        power(found, inside=inside),
        *([clocks(found.clocks)] if found.clocks else []),
        swap(host),
        *csi.look(host),
    )


def board(found: Jetson, memory_gib: float) -> Check:
    """Its name, and the target that it is."""
    if old := retired(found.model):
        return missing(
            "Jetson",
            f"{found.model}: {old.reason}",
            "its processor runs bundles of --target generic-cpu, given Python 3.10 or later",
        )
    target = target_of(found.model, memory_gib)
    return ok(
        "Jetson", f"{found.model or 'model unknown'}" + (f": --target {target}" * bool(target))
    )


def target_of(model: str, memory_gib: float) -> str:
    """The shipped profile of a board; empty where none is known to be it.

    A module of 8 GB shows a little less, for what its firmware keeps.
    """
    words = re.sub(r"[^a-z0-9]+", "-", model.lower())
    fitting: dict[int, str] = {}
    for name in profiles("targets"):
        found = re.fullmatch(r"jetson-(.+?)(?:-(\d+)gb)?", name)
        if found and found[1] in words and memory_gib <= int(found[2] or _ANY_GIB):
            fitting[int(found[2] or _ANY_GIB)] = name
    return fitting[min(fitting)] if fitting else ""


def release(found: Jetson, *, inside: bool) -> Check:
    """L4T, and the JetPack that it belongs to."""
    if not found.l4t:
        hint = "dpkg-query -W nvidia-l4t-core"
        if inside:
            hint = "docker run -v /etc/nv_tegra_release:/etc/nv_tegra_release:ro"
        return advice("JetPack", "unknown: no L4T release to be read here", hint)
    if not found.jetpack:
        told = f"unknown, of L4T {found.l4t}"
        return advice("JetPack", told, "dpkg-query -W nvidia-jetpack tells it, where installed")
    exact = "." in found.jetpack
    told = f"{found.jetpack}, L4T {found.l4t}"
    if _older(found.jetpack, OLDEST_JETPACK if exact else OLDEST_JETPACK.partition(".")[0]):
        told += f": its TensorRT is older than {OLDEST_TENSORRT}"
        return missing("JetPack", told, _UPGRADE)
    return ok("JetPack", told + ("" if exact else ", which release of it is unknown"))


def library(host: Path) -> Check:
    """TensorRT's own library, the newest of the packages and of the files' names."""
    packages = re.findall(r"^Package: (libnvinfer\d+)$", read(host / _PACKAGES), re.MULTILINE)
    files = (host / _LIBRARIES).glob("libnvinfer.so.*.*")
    versions = [package_version(host, name).partition("-")[0] for name in packages]
    versions += [path.name.removeprefix("libnvinfer.so.") for path in files]
    version = max(versions, key=_numbers, default="")
    if not version:
        hint = "sudo apt install nvidia-jetpack, or python3-libnvinfer alone"
        return missing("TensorRT library", "libnvinfer is not installed", hint)
    told = f"libnvinfer {version}"
    if _older(version, OLDEST_TENSORRT):
        return missing("TensorRT library", f"{told}, {OLDEST_TENSORRT} is needed", _UPGRADE)
    return ok("TensorRT library", told)


def power(found: Jetson, *, inside: bool) -> Check:
    """The mode that it is in, of those that it has."""
    if not found.power_mode:
        hint = "sudo nvpmodel -q"
        if inside:
            hint = (
                "docker run -v /var/lib/nvpmodel:/var/lib/nvpmodel:ro "
                "-v /etc/nvpmodel.conf:/etc/nvpmodel.conf:ro"
            )
        return advice("power mode", "cannot be read here", hint)
    others = f" (of {', '.join(found.power_modes)})" if found.power_modes else ""
    return ok("power mode", f"{found.power_mode}{others}")


def clocks(found: tuple[Clock, ...]) -> Check:
    """Their bounds, and whether anything moves between them."""
    ranges = ", ".join(
        f"{one.name} {one.most_mhz}" if one.locked else f"{one.name} {one.least_mhz}-{one.most_mhz}"
        for one in found
    )
    if all(one.locked for one in found):
        return ok("clocks", f"locked, MHz: {ranges}")
    told = f"as load asks, MHz: {ranges}; sudo jetson_clocks locks them for a benchmark"
    return ok("clocks", told)


def swap(host: Path) -> Check:
    """Compressed memory and files; a small board needs the latter to build an engine."""
    compressed = on_disk = 0
    for name, size in re.findall(r"^(\S+)\s+\S+\s+(\d+)", read(host / "proc/swaps"), re.MULTILINE):
        if "zram" in name:
            compressed += int(size)
        else:
            on_disk += int(size)
    told = f"zram {compressed / _KB_PER_GIB:.1f} GiB, disk {on_disk / _KB_PER_GIB:.1f} GiB"
    if _memory_gib(host) <= _SMALL_GIB and not on_disk:
        return advice("swap", f"{told}: building an engine may run out of memory", _SWAP)
    return ok("swap", told)


def _memory_gib(host: Path) -> float:
    found = re.search(r"^MemTotal:\s+(\d+) kB$", read(host / "proc/meminfo"), re.MULTILINE)
    return int(found[1]) / _KB_PER_GIB if found else 0.0


def _older(version: str, oldest: str) -> bool:
    return _numbers(version) < _numbers(oldest)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version))
