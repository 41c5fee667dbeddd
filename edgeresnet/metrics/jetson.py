"""A Jetson's board, release, power mode and clocks, read and never changed."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgeresnet.core.jetson import jetpack_of, l4t_of

_ASKS = "usr/sbin/nvpmodel"
_ASKS_S = 5.0
_GPU = re.compile(r"gpu|ga10b|gv11b")
"""What the GPU's frequency scaling is called, of a Jetson's several."""


@dataclass(frozen=True)
class Clock:
    """One clock, in MHz; locked where its bounds meet, as ``jetson_clocks`` leaves them."""

    name: str
    """``cpu0``, ``cpu4`` (the first core of each cluster), ``gpu``."""
    now_mhz: int
    least_mhz: int
    most_mhz: int

    @property
    def locked(self) -> bool:
        """Whether it cannot change."""
        return self.least_mhz == self.most_mhz


@dataclass(frozen=True)
class Jetson:
    """What a figure measured on a Jetson depends on; empty where the system does not tell."""

    model: str
    l4t: str
    """As ``36.4.3``."""
    power_mode: str
    power_modes: tuple[str, ...]
    """All that the board has, in the order of their numbers."""
    clocks: tuple[Clock, ...]

    @property
    def jetpack(self) -> str:
        """Of the L4T, as ``6.2``."""
        return jetpack_of(self.l4t)

    def as_json(self) -> dict[str, Any]:
        """For a fingerprint."""
        return {
            "model": self.model,
            "l4t": self.l4t,
            "jetpack": self.jetpack,
            "power_mode": self.power_mode,
            "clocks_mhz": {
                name: {"now": now, "least": least, "most": most}
                for name, now, least, most in (asdict(one).values() for one in self.clocks)
            },
        }


def read_jetson(host: Path = Path("/")) -> Jetson | None:
    """Read the system's files below ``host``; None where it is no Jetson."""
    model = read(host / "proc/device-tree/model").strip("\0\n ")
    release = read(host / "etc/nv_tegra_release")
    if "jetson" not in model.lower() and not release:
        return None
    modes = _power_modes(host)
    return Jetson(
        model, l4t_of(release) or _l4t_package(host), _power_mode(host, modes),
        tuple(modes.values()), tuple(_clocks(host)),
    )  # fmt: skip


def read(path: Path) -> str:
    """A small file's text; empty where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def package_version(host: Path, name: str) -> str:
    """The version of an installed Debian package; ``name`` is a pattern."""
    found = re.search(
        rf"^Package: {name}\nStatus: \w+ ok installed\n(?:.+\n)*?Version: (.+)$",
        read(host / "var/lib/dpkg/status"),
        re.MULTILINE,
    )
    return found[1] if found else ""


def _l4t_package(host: Path) -> str:
    """In a container the file of the release may be absent, and the package there."""
    return package_version(host, "nvidia-l4t-core").partition("-")[0]


def _power_modes(host: Path) -> dict[int, str]:
    text = read(host / "etc/nvpmodel.conf")
    found = re.findall(r"^<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=(\S+)", text, re.MULTILINE)
    return {int(number): name for number, name in sorted(found, key=lambda one: int(one[0]))}


def _power_mode(host: Path, modes: dict[int, str]) -> str:
    """Of ``nvpmodel``'s own note, or as it answers where that is not to be read."""
    if noted := re.search(r"pmode:(\d+)", read(host / "var/lib/nvpmodel/status")):
        number = int(noted[1])
        return modes.get(number, f"mode {number}")
    try:
        done = subprocess.run(  # noqa: S603  a query, of a fixed program
            [str(host / _ASKS), "-q"],
            capture_output=True,
            text=True,
            timeout=_ASKS_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    told = re.search(r"^NV Power Mode: *(\S+)", done.stdout, re.MULTILINE)
    return told[1] if told else ""


def _clocks(host: Path) -> Iterator[Clock]:
    policies = (host / "sys/devices/system/cpu/cpufreq").glob("policy[0-9]*")
    for folder in sorted(policies, key=lambda path: int(path.name[6:])):
        values = [_number(folder / f"scaling_{part}_freq") for part in ("cur", "min", "max")]
        yield from _clock(f"cpu{folder.name[6:]}", values, 1000)
    for folder in sorted((host / "sys/class/devfreq").glob("*")):
        if _GPU.search(folder.name):
            values = [_number(folder / f"{part}_freq") for part in ("cur", "min", "max")]
            yield from _clock("gpu", values, 1_000_000)
            return


def _clock(name: str, values: list[int | None], per_mhz: int) -> Iterator[Clock]:
    known = [round(value / per_mhz) for value in values if value is not None]
    if len(known) == len(values):
        yield Clock(name, *known)


def _number(path: Path) -> int | None:
    text = read(path).strip()
    return int(text) if text.isdecimal() else None
