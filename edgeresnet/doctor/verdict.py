"""How one thing that was looked at stands."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Verdict(str, Enum):
    """How one thing stands."""

    OK = "ok"
    MISSING = "missing"
    ADVICE = "advice"
    """It works without; this would be better."""


@dataclass(frozen=True)
class Check:
    """One line of the examination."""

    name: str
    verdict: Verdict
    found: str
    hint: str = ""
    """What to type or to do, where something is to be done."""


def ok(name: str, found: str) -> Check:
    """Nothing to do."""
    return Check(name, Verdict.OK, found)


def missing(name: str, found: str, hint: str) -> Check:
    """Not here; ``hint`` gets it."""
    return Check(name, Verdict.MISSING, found, hint)


def advice(name: str, found: str, hint: str) -> Check:
    """Works, but ``hint`` would make it better."""
    return Check(name, Verdict.ADVICE, found, hint)
