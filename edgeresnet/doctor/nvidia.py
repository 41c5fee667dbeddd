"""Whether TensorRT has a GPU here, and how it is got on this kind of machine."""

from __future__ import annotations

import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from edgeresnet.core.jetson import retired
from edgeresnet.doctor.verdict import Check, advice, ok
from edgeresnet.metrics.jetson import read, read_jetson

NAME = "tensorrt"
_VENDOR, _DISPLAY = "0x10de", "0x03"
_INDEX = "--extra-index-url https://pypi.nvidia.com"
_CUDA_13_DRIVER = 580
_SEES = "include-system-site-packages"


@dataclass(frozen=True)
class Getting:
    """What is said of a runtime that is not here, or that does not load."""

    absent: str
    get: str
    again: str


@dataclass(frozen=True)
class Python:
    """The interpreter that asks."""

    version: tuple[int, int]
    prefix: Path
    base: Path
    """The same as ``prefix`` but in a virtual environment."""

    @property
    def sees_system(self) -> bool:
        """Whether Debian's packages for it can be imported."""
        if self.prefix == self.base:
            return self.base == Path("/usr")
        text = read(self.prefix / "pyvenv.cfg")
        return self.base == Path("/usr") and re.search(rf"{_SEES}\s*=\s*true", text) is not None


def this_python() -> Python:
    """The one that runs this."""
    return Python(sys.version_info[:2], Path(sys.prefix), Path(sys.base_prefix))


def is_here(host: Path) -> bool:
    """Whether a driver of NVIDIA's runs, or this is a Jetson that TensorRT still comes for."""
    jetson = read_jetson(host)
    if jetson is not None:
        return retired(jetson.model) is None
    return _driver(host) is not None


def unneeded(host: Path) -> tuple[Check, ...]:
    """The line in place of the runtime's where it could not be used anyway."""
    if is_here(host):
        return ()
    if read_jetson(host) is not None:
        return (ok(NAME, "not used: this board's is too old"),)
    if _card(host):
        return (
            advice(NAME, "an NVIDIA GPU without its driver", "install the NVIDIA driver first"),
        )
    return (ok(NAME, "not needed: no NVIDIA GPU here"),)


def getting(host: Path, python: Python | None = None) -> Getting:
    """How TensorRT is got on this machine; ``python`` is the one that shall import it."""
    if read_jetson(host) is not None:
        return _on_jetson(host, python or this_python())
    driver = _driver(host)
    package = "tensorrt-cu12" if driver and driver < _CUDA_13_DRIVER else "tensorrt-cu13"
    return Getting(
        "not installed",
        f"pip install {package} {_INDEX}",
        f"pip install --force-reinstall {package} {_INDEX}",
    )


def in_container(host: Path) -> bool:
    """Whether Docker or Podman runs this."""
    return any((host / name).exists() for name in (".dockerenv", "run/.containerenv"))


def _on_jetson(host: Path, python: Python) -> Getting:
    """There it is JetPack's, for the system's Python alone."""
    again = "sudo apt install --reinstall python3-libnvinfer, then edgeresnet doctor"
    folders = (host / "usr/lib").glob("python3*/dist-packages/tensorrt")
    versions = sorted(folder.parents[1].name.removeprefix("python") for folder in folders)
    if not versions:
        get = "sudo apt install python3-libnvinfer"
        if in_container(host):
            get = "take an image that has it, as nvcr.io/nvidia/l4t-jetpack of the board's L4T"
        return Getting("not installed", get, again)
    ours = ".".join(map(str, python.version))
    theirs = next((v for v in versions if v in ("3", ours)), versions[0])
    fresh = (
        f"/usr/bin/python{theirs} -m venv --system-site-packages ~/edge && "
        "~/edge/bin/pip install 'edgeresnet[onnxruntime]'"
    )
    if theirs not in ("3", ours):
        return Getting(f"the system's is for Python {theirs}, this is {ours}", fresh, again)
    if python.sees_system:
        return Getting("there, but not found", again, again)
    if python.base != Path("/usr"):
        return Getting("the system's is for the system's Python, this is another", fresh, again)
    config = shlex.quote(str(python.prefix / "pyvenv.cfg"))
    return Getting(
        "the system's, which this virtual environment does not see",
        f"sed -i 's/^{_SEES}.*/{_SEES} = true/' {config}, or a new one: "
        "python3 -m venv --system-site-packages",
        again,
    )


def _driver(host: Path) -> int | None:
    """Its major version; 0 where it does not tell."""
    text = read(host / "proc/driver/nvidia/version")
    found = re.search(r"Kernel Module.*?\s(\d+)\.\d+", text)
    return (int(found[1]) if found else 0) if text else None


def _card(host: Path) -> bool:
    return any(
        read(vendor).strip() == _VENDOR and read(vendor.parent / "class").startswith(_DISPLAY)
        for vendor in (host / "sys/bus/pci/devices").glob("*/vendor")
    )
