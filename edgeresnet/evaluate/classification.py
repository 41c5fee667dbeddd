"""Top-1, top-5 and agreement of a classifier, with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgeresnet.core.errors import ModelError, UsageError
from edgeresnet.core.progress import Progress
from edgeresnet.datasets.classes import with_classes
from edgeresnet.datasets.pictures import Entry, Unreadable, list_pictures
from edgeresnet.evaluate.reading import fitted
from edgeresnet.flow.predictor import Logits, Predictor
from edgeresnet.metrics.accuracy import Interval, paired_drop, proportion, same_label, top_k


@dataclass(frozen=True)
class EvaluateReport:
    """How right a classifier is; every figure in percent with its 95 % interval."""

    model: str
    pictures: int
    mapping: str
    """How the pictures got their classes; empty when they have none."""
    top1: Interval | None
    top5: Interval | None
    reference: str = ""
    reference_top1: Interval | None = None
    reference_top5: Interval | None = None
    agreement: Interval | None = None
    """Pictures on which model and reference give the same label."""
    drop: Interval | None = None
    """Points of top-1 lost from the reference to the model, paired."""
    unreadable: Mapping[Path, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The evaluation report of the README."""
        found: dict[str, Any] = {"model": self.model, "pictures": self.pictures}
        for name in (
            "top1",
            "top5",
            "agreement",
            "drop",
            "reference_top1",
            "reference_top5",
        ):
            interval: Interval | None = getattr(self, name)
            if interval is not None:
                found[name] = interval.as_json()
        if self.reference:
            found["reference"] = self.reference
        found["mapping"] = self.mapping
        found["unreadable"] = {str(path): why for path, why in self.unreadable.items()}
        return found


def evaluate_classifier(
    main: Predictor,
    other: Predictor | None,
    *,
    images: Path,
    class_map: Path | None,
    progress: Progress,
) -> EvaluateReport:
    """Run ``main``, and ``other`` to compare with, over the pictures of a folder or CSV file."""
    listing = list_pictures(images, "--images")
    truth: dict[Path, int] = {}
    mapping = ""
    if listing.has_classes:
        labelled = with_classes(listing, main.labels, class_map)
        mapping = labelled.mapping
        truth = {item.entry.path: item.class_id for item in labelled.entries}
    elif other is None:
        raise UsageError(
            f"--images: the pictures of {images} have no classes",
            hint="class folders, a CSV with class_index, or --reference GRAPH to compare with",
        )
    unreadable = Unreadable({})
    logits, entries = _run(main, listing.entries, unreadable, ("evaluate", progress))
    unreadable.raise_if_all(len(entries), "--images")
    right = np.array([truth.get(entry.path, -1) for entry in entries], np.int64)
    hits1, hits5 = top_k(logits, right, 1), top_k(logits, right, 5)
    report = EvaluateReport(
        main.name,
        len(entries),
        mapping,
        proportion(hits1) if truth else None,
        proportion(hits5) if truth else None,
        unreadable=unreadable.reasons,
    )
    if other is None:
        return report
    expected, _ = _run(other, entries, Unreadable({}), ("reference", progress))
    before1, before5 = top_k(expected, right, 1), top_k(expected, right, 5)
    return EvaluateReport(
        report.model,
        report.pictures,
        mapping,
        report.top1,
        report.top5,
        other.name,
        proportion(before1) if truth else None,
        proportion(before5) if truth else None,
        proportion(same_label(expected, logits)),
        paired_drop(before1, hits1) if truth else None,
        unreadable.reasons,
    )


def _run(
    predictor: Predictor,
    entries: Sequence[Entry],
    unreadable: Unreadable,
    progress: tuple[str, Progress],
) -> tuple[Logits, list[Entry]]:
    """Logits of every readable picture, and those pictures."""
    pictures = fitted(
        entries,
        lambda entry: entry.path,
        predictor.preprocess,
        unreadable.reasons.__setitem__,
        progress,
    )
    rows, kept = [], []
    with closing(predictor.logits(pictures)) as results:
        for (entry, _), row in results:
            rows.append(row)
            kept.append(entry)
    logits = np.stack(rows) if rows else np.empty((0, len(predictor.labels)), np.float32)
    if not np.isfinite(logits).all():
        raise ModelError(f"{predictor.name} gives values that are not finite")
    return logits, kept
