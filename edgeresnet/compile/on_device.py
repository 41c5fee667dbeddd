"""Make a bundle's engine on the device that will run it, and prove it there."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from edgeresnet.backends import get_backend
from edgeresnet.core.bundle import Bundle, read_bundle
from edgeresnet.core.layers import EngineLayer
from edgeresnet.core.progress import Progress, silent
from edgeresnet.core.protocols import Mode
from edgeresnet.flow.opening import open_bundle


@dataclass(frozen=True)
class DeviceReport:
    """What was found on this device."""

    bundle: Bundle
    backend_version: str
    golden_error: float
    """The largest of any session, loaded for latency or for throughput."""
    recompiled: int
    layers: tuple[EngineLayer, ...]
    """What the engine is made of, as far as its vendor tells."""
    ready_s: float
    """Until the first session was proved; minutes where the engine had to be built."""


def prove_on_device(bundle: Path | str, *, progress: Progress = silent) -> DeviceReport:
    """Open ``bundle`` in every way that ``run`` may, so that its first run finds all compiled.

    An engine that the device builds for itself is built, proved on the golden pictures and kept.
    """
    verified = read_bundle(Path(bundle))
    begin = time.monotonic()
    with open_bundle(verified, Mode.LATENCY, progress=progress) as one:
        ready_s = time.monotonic() - begin
        layers = one.engine.layers
    with open_bundle(verified, Mode.THROUGHPUT, progress=progress) as many:
        return DeviceReport(
            verified,
            get_backend(verified.manifest.artifact.backend).version(),
            max(one.golden_error, many.golden_error),
            one.recompiled + many.recompiled,
            layers,
            ready_s,
        )
