"""The calibration that a call to ``quantize`` asks for: an earlier one where it fits, else new."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from edgeresnet.backends.onnxruntime.reference import open_model
from edgeresnet.core.artifacts import Graph
from edgeresnet.core.errors import DeviceError, UsageError
from edgeresnet.core.progress import Progress
from edgeresnet.core.recipe import Recipe
from edgeresnet.core.tensors import Pixels
from edgeresnet.datasets.pictures import Unreadable, digest, fitted
from edgeresnet.quantize.calibration import Calibration, calibrate
from edgeresnet.quantize.pictures import Pictures
from edgeresnet.quantize.store import calibration_file, load, save

if TYPE_CHECKING:
    import onnx


def calibration_for(
    model: onnx.ModelProto,
    graph: Graph,
    pictures: Pictures,
    plan: Recipe,
    unreadable: Unreadable,
    *,
    given: bool,
    jobs: int | None,
    progress: Progress,
) -> tuple[Calibration, tuple[str, ...]]:
    """What is kept beside the graph where it fits; else made, and kept."""
    kept = calibration_file(graph.path)
    if not given:
        if not kept.is_file():
            raise UsageError(
                f"no --images, and no earlier calibration of {graph.path.name} beside it",
                hint=f"pass --images once; {kept.name} then serves every scheme and method",
            )
        found = load(kept, model, graph.sha256)
        _check_fit(found, pictures, plan, kept.name)
        return found, (f"calibrated before, on {len(found.digests)} pictures ({kept.name})",)
    found_before = _kept(kept, model, graph)
    if (
        found_before is not None
        and found_before.may_equalize == plan.equalize
        and _same_pictures(found_before, pictures, graph, unreadable)
    ):
        return found_before, (f"the same pictures as before: {kept.name} is used again",)
    total, seen = len(pictures.calibration), list[str]()

    def read() -> Iterator[Pixels]:
        for entry, pixels in fitted(pictures.calibration, graph.preprocess, unreadable):
            seen.append(digest(entry.path))
            yield pixels
            progress("calibrate", len(seen), total)

    found = calibrate(model, read(), seen, plan, open_model, jobs=jobs)
    unreadable.raise_if_all(len(seen), "--images")
    notes = []
    if found.convergence.settled is False:
        change = 100 * (found.convergence.half_change or 0)
        notes.append(
            f"the ranges had not settled: the second half of the pictures moved them by "
            f"{change:.1f} % (median); more --samples would help"
        )
    try:
        save(found, graph.sha256, kept)
    except (UsageError, DeviceError) as error:
        notes.append(f"the calibration could not be kept: {error.what}")
    return found, tuple(notes)


def _same_pictures(
    found: Calibration, pictures: Pictures, graph: Graph, unreadable: Unreadable
) -> bool:
    """Whether the readable ones of ``pictures`` are those that calibrated, in their order."""
    asked = {digest(entry.path): entry for entry in pictures.calibration}
    if [name for name in asked if name in set(found.digests)] != list(found.digests):
        return False
    others = [entry for name, entry in asked.items() if name not in set(found.digests)]
    return next(fitted(others, graph.preprocess, unreadable), None) is None


def _check_fit(found: Calibration, pictures: Pictures, plan: Recipe, name: str) -> None:
    """UsageError where an earlier calibration is not what a new one would be."""
    if plan.equalize != found.may_equalize and (found.equalized or plan.equalize):
        made, asked = ("with", "without") if found.may_equalize else ("without", "with")
        raise UsageError(
            f"{name} was made {made} equalized channels, recipe {plan.name} asks for it {asked}",
            hint="pass --images to calibrate again",
        )
    seen = set(found.digests)
    shared = [entry.path for entry in pictures.gate.entries if digest(entry.path) in seen]
    if shared:
        raise UsageError(
            f"--eval: {len(shared)} pictures calibrated before ({name}), first {shared[0].name}",
            hint="judge with other pictures, or pass --images to have them split",
        )


def _kept(path: Path, model: onnx.ModelProto, graph: Graph) -> Calibration | None:
    """An earlier calibration that can be read and is of this graph."""
    try:
        return load(path, model, graph.sha256) if path.is_file() else None
    except UsageError:
        return None
