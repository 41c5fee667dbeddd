"""How the report page calls what a classifier, a detector or an embedder says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Words:
    """Of one task."""

    changed: str
    """Link to the part with what changed."""
    agreement: str
    alike: str
    """The same as the head of a column."""
    error: str
    of_what: str
    """What the error is a share of."""
    truth: str
    """What pictures need to be judged best."""


_WORDS = {
    "classify": Words(
        "Changed labels",
        "Same label as float",
        "Same label",
        "Error of the logits",
        "as a share of their size",
        "their classes",
    ),
    "detect": Words(
        "Changed boxes",
        "Same boxes as float",
        "Same boxes",
        "Error of what is seen",
        "how much of which class where, as a share of it",
        "their boxes (--annotations)",
    ),
    "embed": Words(
        "Turned vectors",
        "Cosine with float",
        "Cosine",
        "Error of the vectors",
        "as a share of their length",
        "all kinds that the camera sees",
    ),
}


def words(report: Mapping[str, Any]) -> Words:
    """Of the task that ``report`` tells of; a classifier's where it tells of none."""
    return _WORDS.get(str(report.get("task")), _WORDS["classify"])
