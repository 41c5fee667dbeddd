"""Outputs that nothing can be made of: an error that names the frame, never a prediction."""

from __future__ import annotations

from edgeresnet.core.errors import DeviceError
from edgeresnet.core.frames import Frame

NOT_FINITE = "values that are not finite"


def unusable(fault: str, frame: Frame) -> DeviceError:
    """The error that the model gave ``fault`` for ``frame``."""
    return DeviceError(
        f"the model gave {fault} for frame {frame.index} of {frame.source}",
        hint="run: edgeresnet evaluate BUNDLE --images DIR",
    )
