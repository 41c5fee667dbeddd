"""Sessions timed side by side: on a shared machine only what ran in the same moment compares."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

from edgeresnet.core.progress import Progress, silent
from edgeresnet.core.protocols import Session
from edgeresnet.core.tensors import Tensors

Clock: TypeAlias = Callable[[], float]
"""Seconds from any moment on."""
FEWEST_ROUNDS = 12


def alternate(
    sessions: Sequence[Session],
    feeds: Sequence[Tensors],
    seconds: float,
    *,
    clock: Clock = time.perf_counter,
    progress: Progress = silent,
) -> tuple[tuple[float, ...], ...]:
    """Milliseconds of each session in every round, for ``seconds`` in all.

    In a round every session runs the same feeds, the first of them another each time. It runs
    them twice and the second run counts: the first brings its weights back into the caches and
    outlasts the threads of the session before it, which wait busily for a moment (ONNX Runtime).
    """
    times: list[list[float]] = [[] for _ in sessions]
    begin, rounds = clock(), 0
    while rounds < FEWEST_ROUNDS or clock() - begin < seconds:
        fed = feeds[rounds % len(feeds)]
        for turn in range(len(sessions)):
            at = (rounds + turn) % len(sessions)
            sessions[at].infer(fed)
            start = clock()
            sessions[at].infer(fed)
            times[at].append((clock() - start) * 1e3)
        rounds += 1
        progress("latency", min(int(100 * (clock() - begin) / seconds), 100), 100)
    return tuple(map(tuple, times))


def runs_per_second(
    sessions: Sequence[Session],
    feeds: Tensors,
    seconds: float,
    *,
    clock: Clock = time.perf_counter,
) -> float:
    """Runs a second of all sessions, each on its own thread."""
    end = clock() + seconds

    def loop(session: Session) -> int:
        count = 0
        while clock() < end:
            session.infer(feeds)
            count += 1
        return count

    start = clock()
    with ThreadPoolExecutor(len(sessions)) as threads:
        count = sum(threads.map(loop, sessions))
    return count / (clock() - start)
