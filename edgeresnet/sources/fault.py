"""Why a live source gives no frames, in one word and one line."""

from __future__ import annotations

from edgeresnet.core.errors import DeviceError

SLOW = frozenset(
    {"unauthorized", "forbidden", "not-found", "redirects", "invalid", "no-video", "permission"}
)
"""Reasons that trying again does not mend by itself."""


class Fault(DeviceError):  # noqa: N818  what happened, not yet what comes of it
    """A live source that could not be opened, or was lost.

    ``reason`` is one of ``refused dns timeout unreachable unauthorized forbidden not-found
    redirects invalid no-video closed stalled crashed absent permission busy error``.
    """

    def __init__(self, reason: str, what: str, *, hint: str = "") -> None:
        super().__init__(what, hint=hint)
        self.reason = reason

    @property
    def slow(self) -> bool:
        """Whether only somebody's hand mends it, so that trying often is in vain."""
        return self.reason in SLOW
