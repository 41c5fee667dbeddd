"""What is known of Jetson boards and of JetPack's releases."""

from __future__ import annotations

import re
from dataclasses import dataclass

OLDEST_TENSORRT = "10"
"""The first whose strongly typed networks compute a Q/DQ graph as it is written."""
OLDEST_JETPACK = "6.1"
"""The first with that TensorRT; JetPack 6.0 has 8.6."""
_RELEASES = {
    "36.2.0": "6.0 DP",
    "36.3.0": "6.0",
    "36.4.0": "6.1",
    "36.4.3": "6.2",
    "36.4.4": "6.2.1",
    "36.4.7": "6.2.1",
    "36.5.0": "6.2.2",
    "36.5.2": "6.2.3",
    "38.2.0": "7.0",
    "38.2.1": "7.0",
    "38.4.0": "7.1",
    "39.2.0": "7.2",
    "39.2.1": "7.2.1",
}
"""L4T to JetPack, of NVIDIA's JetPack archive; a guess between two of them would be wrong."""
_MAJORS = {"32": "4", "34": "5", "35": "5", "36": "6", "38": "7", "39": "7"}


@dataclass(frozen=True)
class Retired:
    """A family of boards whose last JetPack is older than :data:`OLDEST_JETPACK`."""

    board: str
    jetpack: str
    """Its last."""
    tensorrt: str
    """What that came with."""

    @property
    def reason(self) -> str:
        """Why engines cannot be built there."""
        return (
            f"{self.board} is not supported: its last JetPack is {self.jetpack} with TensorRT "
            f"{self.tensorrt}, engines need TensorRT {OLDEST_TENSORRT} (JetPack {OLDEST_JETPACK})"
        )


_NANO = Retired("Jetson Nano", "4.6", "8.2")
_TX1 = Retired("Jetson TX1", "4.6", "8.2")
_TX2 = Retired("Jetson TX2", "4.6", "8.2")
_XAVIER_NX = Retired("Jetson Xavier NX", "5.1", "8.5")
_AGX_XAVIER = Retired("Jetson AGX Xavier", "5.1", "8.5")
_RETIRED = {
    r"jetson-nano": _NANO,
    r"\btx1": _TX1,
    r"\btx2|\bquill\b": _TX2,
    r"xavier-nx": _XAVIER_NX,
    r"xavier|^jetson-agx$": _AGX_XAVIER,  # the latter is how its first systems call it
}


def retired(name: str) -> Retired | None:
    """What ``name`` of a target, or of a device tree's model, is of the boards not supported."""
    words = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return next((board for form, board in _RETIRED.items() if re.search(form, words)), None)


def jetpack_of(l4t: str) -> str:
    """The JetPack that came with an L4T, as ``36.4.3``.

    Only the major release, as ``6``, of an L4T that is newer or rarer than this table, and nothing
    where not even that is known.
    """
    parts = [*l4t.split("."), "0", "0"][:3]
    return _RELEASES.get(".".join(parts)) or _MAJORS.get(parts[0], "")


def l4t_of(release: str) -> str:
    """The version in the text of ``/etc/nv_tegra_release``; empty where it has none."""
    found = re.search(r"R(\d+) \(release\), REVISION: (\d+(?:\.\d+)*)", release)
    return f"{found[1]}.{found[2]}" if found else ""
