"""How well an embedder keeps classes together, and how like another one's its vectors are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeresnet.core.errors import ModelError, UsageError
from edgeresnet.core.progress import Progress
from edgeresnet.core.tensors import EMBEDDING
from edgeresnet.datasets.pictures import Entry, Unreadable, list_pictures
from edgeresnet.evaluate.reading import fitted
from edgeresnet.flow.predictor import Predictor
from edgeresnet.metrics.accuracy import Bools, Interval, paired_drop, proportion
from edgeresnet.metrics.agreement import nearest, of_vectors

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class EmbeddingReport:
    """What an embedder's vectors are worth; every figure in percent with its 95 % interval."""

    model: str
    pictures: int
    nearest: Interval | None
    """Pictures whose nearest other one, by cosine, is of their class; None without classes."""
    scored: int = 0
    """Pictures that ``nearest`` is of: those that are not alone in their class."""
    reference: str = ""
    reference_nearest: Interval | None = None
    cosine: Interval | None = None
    """Of a picture's vector with the reference's, the mean over the pictures."""
    agreement: Interval | None = None
    """Pictures whose nearest other one is the same as the reference's."""
    drop: Interval | None = None
    """Points of ``nearest`` lost from the reference to the model, paired."""
    unreadable: Mapping[Path, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The evaluation report of the README."""
        found: dict[str, Any] = {"model": self.model, "pictures": self.pictures}
        for name in ("nearest", "cosine", "agreement", "drop", "reference_nearest"):
            interval: Interval | None = getattr(self, name)
            if interval is not None:
                found[name] = interval.as_json()
        if self.nearest is not None:
            found["scored"] = self.scored
        if self.reference:
            found["reference"] = self.reference
        found["unreadable"] = {str(path): why for path, why in self.unreadable.items()}
        return found


def evaluate_embedder(
    main: Predictor, other: Predictor | None, *, images: Path, progress: Progress
) -> EmbeddingReport:
    """Run ``main``, and ``other`` to compare with, over the pictures of a folder or CSV file.

    Classes, which are those of the folders or of ``class_index``, need not be any network's.
    """
    listing = list_pictures(images, "--images")
    loose = [entry.path.name for entry in listing.entries if not entry.class_key]
    if 0 < len(loose) < len(listing.entries):
        raise UsageError(
            f"--images: {loose[0]} of {images} has no class, other pictures have",
            hint="one folder a class, or a CSV file with the columns file,class_index",
        )
    if loose and other is None:
        raise UsageError(
            f"--images: the pictures of {images} have no classes to be kept together",
            hint="class folders, a CSV with class_index, or --reference GRAPH to compare with",
        )
    unreadable = Unreadable({})
    vectors, entries = _run(main, listing.entries, unreadable, ("evaluate", progress))
    unreadable.raise_if_all(len(entries), "--images")
    if len(entries) < 2:
        raise UsageError("--images: of one picture there is no nearest other", hint="give more")
    near = nearest(vectors)
    classes, scored = _classes(entries)
    if not scored.any() and other is None:
        raise UsageError(
            f"--images: each picture of {images} is the only one of its class",
            hint="two or more of a class, or --reference GRAPH to compare with",
        )
    right = classes[near] == classes if scored.any() else None
    report = EmbeddingReport(
        main.name,
        len(entries),
        _share(right, scored),
        int(scored.sum()),
        unreadable=unreadable.reasons,
    )
    if other is None:
        return report
    expected, _ = _run(other, entries, Unreadable({}), ("reference", progress))
    if expected.shape != vectors.shape:
        raise ModelError(
            f"{other.name} gives vectors of {expected.shape[1]} values, {main.name} of "
            f"{vectors.shape[1]}"
        )
    before = nearest(expected)
    was_right = None if right is None else classes[before] == classes
    return replace(
        report,
        reference=other.name,
        reference_nearest=_share(was_right, scored),
        cosine=of_vectors(expected, vectors).percent,
        agreement=proportion(before == near),
        drop=None
        if right is None or was_right is None
        else paired_drop(was_right[scored], right[scored]),
    )


def _share(hits: Bools | None, of: Bools) -> Interval | None:
    return None if hits is None else proportion(hits[of])


def _classes(entries: Sequence[Entry]) -> tuple[npt.NDArray[np.int64], Bools]:
    """A number for each picture's class, and whether another picture is of it."""
    told = [entry.class_key for entry in entries]
    _, numbers, counts = np.unique(told, return_inverse=True, return_counts=True)
    in_company = np.array([bool(name) for name in told]) & (counts[numbers] > 1)
    return np.asarray(numbers, np.int64), in_company


def _run(
    predictor: Predictor,
    entries: Sequence[Entry],
    unreadable: Unreadable,
    progress: tuple[str, Progress],
) -> tuple[Floats, list[Entry]]:
    """Vectors of every readable picture, and those pictures."""
    pictures = fitted(
        entries,
        lambda entry: entry.path,
        predictor.preprocess,
        unreadable.reasons.__setitem__,
        progress,
    )
    rows, kept = [], []
    with closing(predictor.outputs(pictures)) as results:
        for (entry, _), outputs in results:
            rows.append(np.asarray(outputs[EMBEDDING][0], np.float32))
            kept.append(entry)
    vectors = np.stack(rows) if rows else np.empty((0, 1), np.float32)
    if not np.isfinite(vectors).all():
        raise ModelError(f"{predictor.name} gives values that are not finite")
    return vectors, kept
