"""What a source may want to know of the run that reads it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from edgeresnet.sources.patience import Patience
from edgeresnet.sources.shots import Loss


@dataclass(frozen=True)
class Terms:
    """The same for every scheme."""

    index: int = 0
    """Position among the sources of a run; from 1 on it makes the name unique."""
    stop: threading.Event = field(default_factory=threading.Event)
    """Ends the source after the frame it is at."""
    patience: Patience = field(default_factory=Patience)
    name: str = ""
    """What the user calls it; empty: the source finds a name."""
    auth: str = field(default="", repr=False)
    """Reference to ``user:password``, as :func:`~edgeresnet.core.secrets.secret_from` reads it."""

    on_loss: Callable[[Loss], None] | None = None
    """Told of each picture or frame of a file that cannot be read."""

    def named(self, base: str) -> str:
        """The user's name, or ``base``, printable and short, made unique by the position."""
        if self.name:
            return self.name
        clean = "".join(c if c.isprintable() else "_" for c in base)[-48:]
        return f"{clean}-{self.index}" if self.index else clean
