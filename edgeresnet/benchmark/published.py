"""What others published for the device that a bundle is for, beside what is measured here."""

from __future__ import annotations

from edgeresnet.backends import get_backend, precision_of
from edgeresnet.core.bundle import Manifest
from edgeresnet.core.target import Published, Scheme

_SIZE = (224, 224)


def published_for(manifest: Manifest, batch: int) -> tuple[Published, ...]:
    """The figures of the bundle's target for its precision and ``batch``.

    They are of ResNet-50 at 224x224: none for a network that takes other pictures. Which network a
    bundle holds is not told on a device, so whoever shows them says what they are of.
    """
    target = manifest.target
    size = tuple(manifest.preprocess.size)
    if not target.published or manifest.task != "classify" or size != _SIZE:
        return ()
    precision = "int8"
    if manifest.scheme is Scheme.FLOAT:
        precision = precision_of(get_backend(manifest.artifact.backend), target)
    return tuple(
        one for one in target.published if (one.precision, one.batch) == (precision, batch)
    )


def said(one: Published) -> str:
    """One figure in a line, with whose it is and what was timed."""
    figures = [
        *([] if one.latency_ms is None else [f"{one.latency_ms:.2f} ms a run"]),
        *([] if one.fps is None else [f"{one.fps:g} frames/s"]),
    ]
    of = one.precision if one.batch is None else f"{one.precision}, batch {one.batch}"
    return (
        f"published, not measured here, for ResNet-50 ({of}): {', '.join(figures)}; "
        f"power mode {one.power_mode or 'not told'}; {one.runtime}; by {one.source}"
    )
