"""How the run is doing, asked at most five times a second however many want to know."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeAlias

from edgeresnet.core.status import RunStatus

FRESH_S = 0.2
_PATIENCE_S = 2.0

Render: TypeAlias = Callable[[RunStatus | None], str]


class Statuses:
    """Asks on a thread of its own; an answer, and what was made of it, stands for a moment.

    The status is None where nobody keeps track, and where asking fails or hangs.
    """

    def __init__(self, ask: Callable[[], RunStatus] | None) -> None:
        self._ask = ask
        self._pool = ThreadPoolExecutor(1, "web-status")
        self._asking: asyncio.Task[None] | None = None
        self._asked_at = -FRESH_S
        self._status: RunStatus | None = None
        self._rendered: dict[Render, str] = {}

    def close(self) -> None:
        """Ask no more; does not wait for an answer that never comes."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def now(self) -> RunStatus | None:
        """How the run is doing."""
        if time.monotonic() - self._asked_at >= FRESH_S:
            if self._asking is None or self._asking.done():
                self._asking = asyncio.ensure_future(self._refresh())
            await asyncio.shield(self._asking)  # who leaves does not take it from the others
        return self._status

    async def rendered(self, render: Render) -> str:
        """What ``render`` makes of it, made once for each answer."""
        status = await self.now()
        if render not in self._rendered:
            self._rendered[render] = render(status)
        return self._rendered[render]

    async def _refresh(self) -> None:
        status = None
        if self._ask is not None:
            asked = asyncio.get_running_loop().run_in_executor(self._pool, self._ask)
            with suppress(Exception):  # a page without figures is better than none
                status = await asyncio.wait_for(asked, _PATIENCE_S)
        self._status, self._asked_at = status, time.monotonic()
        self._rendered.clear()


def status_json(status: RunStatus | None) -> str:
    """``/api/status``: the status as it is, and its troubles."""
    if status is None:
        return json.dumps({"error": "nobody keeps track of this run"})
    return to_json({**status.as_json(), "troubles": status.troubles})


def ready_json(status: RunStatus | None) -> str:
    """``/readyz``: whether frames come, or have come to their end."""
    if status is None:
        reasons = ["nobody keeps track of this run"]
    elif any(one.health.state in ("live", "ended") for one in status.sources):
        reasons = []
    else:
        reasons = list(status.troubles) or ["there is no source"]
    return json.dumps({"ready": not reasons, "reasons": reasons})


def health_json(status: RunStatus | None) -> str:
    """``/healthz``: whether a source or sink is not well; it is answered with 200 in any case."""
    reasons = ["nobody keeps track of this run"] if status is None else list(status.troubles)
    return json.dumps({"status": "degraded" if reasons else "ok", "reasons": reasons})


def to_json(value: Any) -> str:  # noqa: ANN401  whatever a record holds
    """JSON that every parser takes: what is not finite is null."""
    try:
        return json.dumps(value, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value))


def _finite(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
