"""How long to wait before trying again."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

LADDER_S = (1.0,) * 5 + (5.0,) * 5 + (10.0,) * 5
"""Waits after the first failures, in seconds; then :data:`CAP_S` for ever."""
CAP_S = 30.0
HEALTHY_S = 30.0
"""Working for so long, the next failure counts as the first."""
_JITTER = 0.2


@dataclass
class Backoff:
    """1 s five times, 5 s five times, 10 s five times, then 30 s, each 20 percent more or less.

    The jitter keeps a hundred devices from coming back to a server in the same second.
    ``scale`` shortens every wait, for tests.
    """

    scale: float = 1.0
    failures: int = 0
    taken_s: float = 0.0
    """The rung of the last wait, before jitter and scale."""
    _random: random.Random = field(default_factory=random.Random, repr=False)

    def failed(self, *, after_s: float = 0.0, slow: bool = False) -> float:
        """Seconds to wait now, after a try that worked for ``after_s`` seconds or not at all.

        ``slow`` takes the last rung at once: a wrong password does not get right by trying.
        """
        if after_s >= HEALTHY_S * self.scale:
            self.failures = 0
        self.taken_s = CAP_S if slow else self.rung_s
        self.failures += 1
        return self.taken_s * self.scale * self._random.uniform(1 - _JITTER, 1 + _JITTER)

    @property
    def rung_s(self) -> float:
        """The wait after the next failure, before jitter and scale."""
        return LADDER_S[self.failures] if self.failures < len(LADDER_S) else CAP_S
