"""How the probe sees pictures: without the empty part of a letterbox, and not large."""

from __future__ import annotations

from edgeresnet.core.preprocess import Crop, Preprocess

_LONGEST = 320
"""Of a letterbox's pictures, which the probe runs many times."""


def seen_by_probe(preprocess: Preprocess, *, any_size: bool) -> Preprocess:
    """What pictures are fitted with for the probe, in the place of ``preprocess``.

    Smaller ones only for a network that takes ``any_size``.
    """
    if preprocess.crop is not Crop.LETTERBOX:
        return preprocess
    longest = _LONGEST if any_size else max(preprocess.size)
    size = tuple(min(side, longest) for side in preprocess.size)
    return preprocess.model_copy(update={"size": size, "resize": max(size), "crop": Crop.CENTER})


def as_fitted(found: Preprocess, given: Preprocess) -> Preprocess:
    """What the probe found, on pictures fitted as ``given``."""
    fitted = {name: getattr(given, name) for name in ("size", "resize", "crop")}
    return found.model_copy(update=fitted)
