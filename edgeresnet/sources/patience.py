"""How long a live source may take before it counts as hung."""

from __future__ import annotations

from dataclasses import dataclass

_LEAST_S, _FRAMES, _MOST_S = 2.0, 5, 10.0


@dataclass(frozen=True)
class Patience:
    """Limits in seconds of the monotonic clock."""

    open_s: float = 5.0
    """From the order to connect until the source answers."""
    stall_s: float | None = None
    """Between two frames; None is five frames' time, at least 2 s and at most 10 s."""
    frozen_s: float = 30.0
    """Of the very same picture before it is called frozen."""
    backoff_scale: float = 1.0
    """Shortens the waits between attempts, for tests."""

    def between_frames_s(self, fps: float | None) -> float:
        """How old the newest frame may get while the source is live."""
        if self.stall_s is not None:
            return self.stall_s
        return min(max(_LEAST_S, _FRAMES / fps), _MOST_S) if fps else _MOST_S / 2

    def first_frame_s(self) -> float:
        """From the answer until the first frame: an RTSP stream is joined between key frames."""
        return self.stall_s if self.stall_s is not None else _MOST_S
