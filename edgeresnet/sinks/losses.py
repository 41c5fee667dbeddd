"""What a spool lost: said once when it begins, and once, with how many, when it is over."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass


@dataclass
class _Loss:
    first: str
    last: str = ""
    count: int = 0
    said: bool = False


class Losses:
    """Reason to the events that are being lost for it. Its caller holds a lock over each call."""

    def __init__(self) -> None:
        self._now: dict[str, _Loss] = {}

    def add(self, reason: str, event_id: str) -> None:
        """One more."""
        loss = self._now.setdefault(reason, _Loss(event_id))
        loss.last, loss.count = event_id, loss.count + 1

    @property
    def news(self) -> bool:
        """Whether something is being lost that was not said yet."""
        return any(not loss.said for loss in self._now.values())

    def lines(self, over: Container[str]) -> list[str]:
        """What there is to say, when the reasons in ``over`` do no longer hold."""
        lines = []
        for reason, loss in list(self._now.items()):
            if not loss.said:
                loss.said = True
                lines.append(f"{reason}: events are lost from {loss.first} on")
            if reason in over:
                del self._now[reason]
                lines.append(
                    f"{reason}: {loss.count} events were lost, from {loss.first} to {loss.last}"
                )
        return lines
