"""Everything that ``doctor`` looks at, in the order in which it is told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgeresnet.core.progress import Progress, silent
from edgeresnet.doctor import devices, jetson, machine, nvidia, packages
from edgeresnet.doctor.verdict import Check, Verdict

HOST = Path("/")
"""Where ``/proc``, ``/sys``, ``/dev`` and ``/etc`` are; tests look into another folder."""


@dataclass(frozen=True)
class Diagnosis:
    """All lines; ``usable`` when some backend here can run a bundle."""

    checks: tuple[Check, ...]
    usable: bool


def examine(host: Path = HOST, *, progress: Progress = silent) -> Diagnosis:
    """Look at this machine; nothing is changed, no camera is opened."""
    progress("look", 0, 3)
    of_machine = (*machine.look(host), *jetson.look(host))
    progress("look", 1, 3)
    backends = packages.backends(host)
    unneeded = nvidia.unneeded(host)
    of_packages = (*packages.base(), *backends, *unneeded, *packages.host_part())
    progress("look", 2, 3)
    of_devices = devices.look(host)
    progress("look", 3, 3)
    usable = any(check.verdict is Verdict.OK for check in backends)
    return Diagnosis((*of_machine, *of_packages, *of_devices), usable)
