"""The sinks of a run, opened one after the other and closed side by side."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager

from edgeresnet.core.protocols import Sink
from edgeresnet.core.secrets import redact
from edgeresnet.flow.outlet import Outlet

_log = logging.getLogger("edgeresnet")


@contextmanager
def open_outlets(
    texts: Sequence[str],
    opened: Callable[[str], AbstractContextManager[Sink]],
    *,
    live: bool,
    stop: threading.Event | None = None,
) -> Generator[tuple[Outlet, ...]]:
    """Every sink with its thread. Leaving the context finishes all of them at the same time.

    One that is slow to finish, a broker that does not answer say, then costs no other its time.
    What a sink raises in closing is raised, unless there is an error already.
    """
    made: list[tuple[Outlet, ExitStack]] = []
    try:
        for text in texts:
            with ExitStack() as stack:
                sink = stack.enter_context(opened(text))
                outlet = Outlet(redact(text), sink, live=live, stop=stop)
                made.append((outlet, stack.pop_all()))
        yield tuple(outlet for outlet, _ in made)
    finally:
        failures = _close(made)
        if failures and sys.exc_info()[0] is None:
            raise failures[0]


def _close(made: Sequence[tuple[Outlet, ExitStack]]) -> list[BaseException]:
    """Finish all; what they raised."""
    failures: list[BaseException] = []
    error = sys.exc_info()

    def close(outlet: Outlet, stack: ExitStack) -> None:
        if not outlet.end():  # it is still in there: closing it now would be a second hand on it
            _log.warning("sink %s: did not finish in time and is left behind", outlet.name)
            outlet.left_behind = stack
            return
        try:
            stack.__exit__(*error)
        except BaseException as caught:  # noqa: BLE001  raised by the caller
            if caught is not error[1]:
                failures.append(caught)

    threads = [threading.Thread(target=close, args=one, name="closing") for one in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures
