"""How right a graph or bundle is, whatever its task."""

from __future__ import annotations

import re
from contextlib import ExitStack
from pathlib import Path

from edgeresnet.core.errors import ModelError, UsageError
from edgeresnet.core.labels import Labels
from edgeresnet.core.progress import Progress, silent
from edgeresnet.datasets.classes import plain_name
from edgeresnet.evaluate.classification import EvaluateReport, evaluate_classifier
from edgeresnet.evaluate.detection import DetectionReport, evaluate_detector
from edgeresnet.evaluate.embedding import EmbeddingReport, evaluate_embedder
from edgeresnet.flow.predictor import Predictor, open_predictor


def evaluate(
    model: Path | str,
    *,
    images: Path | str,
    class_map: Path | str | None = None,
    annotations: Path | str | None = None,
    reference: Path | str | None = None,
    strict: bool = False,
    progress: Progress = silent,
) -> EvaluateReport | DetectionReport | EmbeddingReport:
    """Run ``model`` (a contract graph or a bundle) over pictures and compare with the truth.

    A classifier: ``images`` is a folder of class folders, or a CSV file. Class folders are matched
    to the network's classes by name, WordNet id or ``class_map``. A detector: ``images`` and
    ``annotations`` as :func:`~edgeresnet.datasets.annotations.read_annotations` takes them; with
    ``strict`` the first faulty annotation is an error, else they are counted. An embedder: classes
    are those of the folders or the CSV file, whatever they are, and what counts is whether the
    nearest other picture is of the same.

    With ``reference``, another graph or bundle of the same classes in the same order, each picture
    is compared; pictures without truth give the agreement alone.
    """
    chosen = None if class_map is None else Path(class_map)
    with ExitStack() as stack:
        main = stack.enter_context(open_predictor(Path(model)))
        other = None
        if reference is not None:
            other = stack.enter_context(open_predictor(Path(reference)))
            _alike(main, other, model, reference)
        if main.task == "detect":
            return evaluate_detector(
                main,
                other,
                images=Path(images),
                annotations=None if annotations is None else Path(annotations),
                class_map=chosen,
                strict=strict,
                progress=progress,
            )
        if annotations is not None or strict:
            option = "--strict" if annotations is None else "--annotations"
            raise UsageError(f"{option} is for detectors; {model} is to {main.task}")
        if main.task == "embed":
            if chosen is not None:
                raise UsageError(
                    f"--class-map: {model} is to embed and has no classes",
                    hint="leave it out: the folders' own classes count",
                )
            return evaluate_embedder(main, other, images=Path(images), progress=progress)
        return evaluate_classifier(
            main, other, images=Path(images), class_map=chosen, progress=progress
        )


def _alike(main: Predictor, other: Predictor, model: Path | str, reference: Path | str) -> None:
    """Refuse to compare what does not say the same things."""
    if other.task != main.task:
        raise ModelError(f"{reference} is for {other.task!r}, {model} is for {main.task!r}")
    if len(other.labels) != len(main.labels):
        raise ModelError(
            f"{reference} has {len(other.labels)} classes, {model} has {len(main.labels)}"
        )
    one, two = _classes(main.labels, other.labels), _classes(other.labels, main.labels)
    places = (place for place, name in enumerate(one) if name != two[place])
    place = next(places, None)
    if place is None or _numbered(main.labels) or _numbered(other.labels):
        return
    what = "its classes in another order" if sorted(one) == sorted(two) else "other classes"
    names = f"{other.labels.names[place]!r} instead of {main.labels.names[place]!r}"
    raise UsageError(
        f"--reference: {reference} has {what} than {model}: class {place} is {names}",
        hint="only what has the same classes in the same order can be compared",
    )


def _classes(labels: Labels, other: Labels) -> tuple[str, ...]:
    """What tells a class from others: its WordNet id where both have one, else its plain name."""
    if labels.wordnet and other.wordnet:
        return labels.wordnet
    return tuple(map(plain_name, labels.names))


def _numbered(labels: Labels) -> bool:
    """Whether the names are those of a network whose classes nobody has named."""
    return all(re.fullmatch(r"(class )?\d+", plain_name(name)) for name in labels.names)
