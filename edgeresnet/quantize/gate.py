"""Whether the INT8 graph stays inside its accuracy budget."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeresnet.metrics.accuracy import (
    Interval,
    paired_drop,
    pictures_needed,
    proportion,
    same_label,
    top_k,
)
from edgeresnet.metrics.agreement import of_vectors
from edgeresnet.metrics.average_precision import FEW

Floats = npt.NDArray[np.float32]
UNLABELLED_MAX_DROP = 3.0
"""Points of agreement that may go when there are no labels. Most labels that change belong to
pictures that float is unsure of too: a ResNet-50 changes 2 % of labels and loses 0.3 points."""


@dataclass(frozen=True)
class Gate:
    """INT8 beside float on the gate's pictures."""

    pictures: int
    max_drop: float
    agreement: Interval
    """Labels, or sure boxes, that both give; of vectors their mean cosine."""
    drop: Interval
    """Points of top-1 or mAP@.5 lost, or of agreement where the truth is not known."""
    top1: tuple[Interval, Interval] | None = None
    """Float and INT8, where there are labels."""
    top5: tuple[Interval, Interval] | None = None
    vectors: bool = False
    """Whether it is of an embedding, which has no truth."""
    boxes: int | None = None
    """Of a detector: sure boxes that ``agreement`` is of."""
    things: int | None = None
    """What the interval of ``drop`` counts, where that is not pictures."""
    things_each: float = 1.0
    """How many of them a picture of many brings."""
    map: tuple[Interval, Interval] | None = None
    map50: tuple[Interval, Interval] | None = None
    """Of a detector on annotated pictures: mAP@[.5:.95] and mAP@.5, float and INT8."""

    @property
    def passed(self) -> bool:
        """The point estimate decides."""
        return self.drop.value <= self.max_drop

    @property
    def verdict(self) -> str:
        """``inside`` or ``outside`` the budget; ``unchecked`` where nothing tells.

        That is a detector's on pictures without annotations and without a box that it is sure of.
        """
        if self.map50 is None and self.boxes == 0:
            return "unchecked"
        return "inside" if self.passed else "outside"

    @property
    def note(self) -> str:
        """What the verdict lacks; empty where nothing."""
        if self.verdict == "unchecked":
            return f"neither float nor INT8 is sure of a box on any of {self.pictures} pictures"
        if self.needed > self.pictures:
            return f"n too small, need about {self.needed}"
        return ""

    @property
    def needed(self) -> int:
        """Pictures that would make the interval narrow enough to tell."""
        counted = self.things or self.pictures
        needed = pictures_needed(self.drop, counted, self.max_drop) / self.things_each
        return max(math.ceil(needed), 0 if self.map50 is None else FEW)

    @property
    def alike(self) -> str:
        """What ``agreement`` is."""
        if self.vectors:
            return "cosine with float"
        on = "" if self.boxes is None else f" on {self.boxes} sure boxes"
        return f"agreement with float{on}"

    @property
    def metric(self) -> str:
        """What the budget counts."""
        if self.map50 is not None:
            return "mAP@.5"
        if self.top1 is not None:
            return "top-1"
        return "cosine with float" if self.vectors else "agreement with float"

    def as_evidence(self) -> dict[str, Any]:
        """For the graph's metadata and the manifest."""
        found: dict[str, Any] = {
            "verdict": self.verdict,
            "metric": self.metric,
            "pictures": self.pictures,
            "max_drop": self.max_drop,
        }
        if self.verdict != "unchecked":
            found["drop"] = self.drop.as_json()
            found["agreement"] = self.agreement.as_json()
        if self.boxes is not None:
            found["boxes"] = self.boxes
        pairs = {"top1": self.top1, "top5": self.top5, "map": self.map, "map50": self.map50}
        for name, pair in pairs.items():
            if pair is not None:
                found[name] = {"float": pair[0].as_json(), "int8": pair[1].as_json()}
        if self.note:
            found["note"] = self.note
        return found


def judge(float_: Floats, int8: Floats, truth: Sequence[int] | None, max_drop: float) -> Gate:
    """Compare two sets of logits (pictures x classes); ``truth`` where labels are known."""
    same = same_label(float_, int8)
    agreement = proportion(same)
    if truth is None:
        return Gate(len(float_), max_drop, agreement, lacking(agreement))
    right = np.array(truth, np.int64)
    before, after = top_k(float_, right, 1), top_k(int8, right, 1)
    before5, after5 = top_k(float_, right, 5), top_k(int8, right, 5)
    return Gate(
        len(float_),
        max_drop,
        agreement,
        paired_drop(before, after),
        (proportion(before), proportion(after)),
        (proportion(before5), proportion(after5)),
    )


def judge_vectors(float_: Floats, int8: Floats, max_drop: float) -> Gate:
    """Compare two sets of embeddings (pictures x length)."""
    cosine = of_vectors(float_, int8).percent
    return Gate(len(float_), max_drop, cosine, lacking(cosine), vectors=True)


def lacking(agreement: Interval) -> Interval:
    """Points that it lacks of 100."""
    return Interval(100 - agreement.value, 100 - agreement.high, 100 - agreement.low)
