"""Which pictures calibrate and which judge: never the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgeresnet.core.artifacts import Graph
from edgeresnet.core.errors import UsageError
from edgeresnet.core.recipe import Recipe
from edgeresnet.datasets.annotated import Annotated, need_boxes
from edgeresnet.datasets.annotations import for_labels, is_annotated, listed, read_annotations
from edgeresnet.datasets.classes import no_folder_is_a_class, with_classes
from edgeresnet.datasets.pictures import Entry, Listing, choose, digest, list_pictures


@dataclass(frozen=True)
class Pictures:
    """Disjoint by content."""

    calibration: tuple[Entry, ...]
    gate: Listing
    notes: tuple[str, ...]
    option: str = "--eval"
    """That named those that judge."""


def choose_pictures(
    images: Path,
    eval_images: Path | str | None,
    plan: Recipe,
    annotations: Path | str | None = None,
) -> Pictures:
    """Calibration and gate pictures, disjoint by content.

    ``annotations`` are those of the pictures that judge; a list among them leaves out the others.
    """
    listing = list_pictures(images, "--images")
    if eval_images is None:
        listing = listed(listing, annotations)
    unique: dict[str, Entry] = {}
    for entry in listing.entries:
        unique.setdefault(digest(entry.path), entry)
    notes = []
    if copies := len(listing.entries) - len(unique):
        notes.append(f"{copies} pictures of --images are copies of others and were left out")
    if eval_images is None:
        if len(unique) < 2:
            raise UsageError(
                "--images: one picture cannot both calibrate and judge", hint="give more, or --eval"
            )
        half = min(plan.samples, len(unique) // 2)
        calibration = choose(list(unique.values()), half, plan.seed)
        taken = set(calibration)
        rest = tuple(entry for entry in unique.values() if entry not in taken)
        notes.append(
            f"no --eval: {len(calibration)} of {len(unique)} pictures calibrate, the other "
            f"{len(rest)} judge (seed {plan.seed})"
        )
        return Pictures(tuple(calibration), Listing(images, rest), tuple(notes), "--images")
    gate = listed(list_pictures(Path(eval_images), "--eval"), annotations)
    shared = [e for e in gate.entries if digest(e.path) in unique]
    if shared:
        raise UsageError(
            f"--eval: {len(shared)} pictures are in --images too, first {shared[0].path.name}",
            hint="judge with other pictures, or leave --eval out to have --images split",
        )
    calibration = choose(list(unique.values()), plan.samples, plan.seed)
    return Pictures(tuple(calibration), gate, tuple(notes))


def gate_only(eval_images: Path | str | None, annotations: Path | str | None = None) -> Pictures:
    """No pictures to calibrate with; those to judge with, if any."""
    if eval_images is None:
        return Pictures((), Listing(Path(), ()), ())
    return Pictures((), listed(list_pictures(Path(eval_images), "--eval"), annotations), ())


@dataclass(frozen=True)
class Truth:
    """The gate pictures' classes, none where they have none."""

    classes: Mapping[Path, int]
    mapping: str
    """How they were found, or why there are none."""


@dataclass(frozen=True)
class TrueBoxes:
    """The gate pictures' boxes, none where they are not annotated."""

    pictures: Mapping[Path, Annotated]
    mapping: str
    """How their classes were found, or why there are none."""


def true_boxes(
    gate: Listing,
    images: Path | str | None,
    annotations: Path | str | None,
    graph: Graph,
    class_map: Path | str | None,
    *,
    option: str,
) -> TrueBoxes:
    """The boxes of the gate's pictures, by :func:`read_annotations`.

    They are among ``images``, which ``option`` named.
    """
    if not gate.entries or images is None:
        return TrueBoxes({}, "nothing was judged: no pictures")
    if annotations is None and not is_annotated(Path(images)):
        return TrueBoxes({}, "the pictures are not annotated: judged by agreement with float")
    given = None if annotations is None else Path(annotations)
    found = read_annotations(Path(images), given, option=option)
    chosen = None if class_map is None else Path(class_map)
    found, mapping = for_labels(found, graph.labels, chosen)
    judged = {entry.path.resolve(): entry.path for entry in gate.entries}
    boxes = {
        judged[picture.path.resolve()]: picture
        for picture in found.pictures
        if picture.path.resolve() in judged
    }
    need_boxes(boxes.values(), f"of {option} that judge")
    bad = sum(found.faults.counts.values())
    return TrueBoxes(boxes, f"classes found by {mapping}; {bad} faults in the annotations")


def true_classes(gate: Listing, graph: Graph, class_map: Path | str | None) -> Truth:
    """The classes of the gate's pictures, by the rules of :func:`with_classes`.

    Calibrating needs no classes, so folders of which not one is a class (dates, cameras) leave
    the pictures without; folders of which some are classes and some not are an error.
    """
    if not gate.entries:
        return Truth({}, "nothing was judged: no pictures")
    if not gate.has_classes:
        return Truth({}, "the pictures have no classes: judged by agreement with float")
    if class_map is None and no_folder_is_a_class(gate, graph.labels):
        return Truth({}, "no folder is a class: judged by agreement with float")
    found = with_classes(gate, graph.labels, None if class_map is None else Path(class_map))
    classes = {item.entry.path: item.class_id for item in found.entries}
    return Truth(classes, f"classes found by {found.mapping}")
