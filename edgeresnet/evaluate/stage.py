"""How right a graph or bundle is, whatever its task."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from edgeresnet.core.errors import ModelError, UsageError
from edgeresnet.core.progress import Progress, silent
from edgeresnet.evaluate.classification import EvaluateReport, evaluate_classifier
from edgeresnet.evaluate.detection import DetectionReport, evaluate_detector
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
) -> EvaluateReport | DetectionReport:
    """Run ``model`` (a contract graph or a bundle) over pictures and compare with the truth.

    A classifier: ``images`` is a folder of class folders, or a CSV file. Class folders are matched
    to the network's classes by name, WordNet id or ``class_map``. A detector: ``images`` and
    ``annotations`` as :func:`~edgeresnet.datasets.annotations.read_annotations` takes them; with
    ``strict`` the first faulty annotation is an error, else they are counted.

    With ``reference``, another graph or bundle of the same classes, each picture is compared;
    pictures without truth give the agreement alone.
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
        if main.task != "classify":
            raise UsageError(f"{model} is for {main.task!r}: there is no truth to hold it against")
        if annotations is not None or strict:
            option = "--strict" if annotations is None else "--annotations"
            raise UsageError(f"{option} is for detectors; {model} is a classifier")
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
