"""Says on stderr what a long comparison is doing now."""

import sys
import time

_STARTED = time.monotonic()


def told(what: str) -> None:
    """One line, with the seconds since the start."""
    print(f"{time.monotonic() - _STARTED:6.0f} s  {what}", file=sys.stderr, flush=True)
