"""The embedded networks, and the pictures that are drawn for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgeresnet.datasets.procedural import write_detection_set, write_pictures
from edgeresnet.flow.stream import Policy


@dataclass(frozen=True)
class Pictures:
    """A drawn set: class folders, or pictures with their boxes in a COCO file."""

    images: Path
    annotations: Path | None = None


def _of_one_thing(folder: Path, count: int, seed: int) -> Pictures:
    write_pictures(folder, count, seed)
    return Pictures(folder)


def _of_many_things(folder: Path, count: int, seed: int) -> Pictures:
    annotations = write_detection_set(folder, count, seed)
    return Pictures(folder / "images", annotations)


@dataclass(frozen=True)
class Network:
    """An embedded network, what it is shown, and how much of what it says."""

    name: str
    weights: Path
    draw: Callable[[Path, int, int], Pictures]
    """Of (folder, number of pictures, seed)."""
    calibration: int
    evaluation: int
    policy: Policy


CLASSIFIER = Network(
    "classifier",
    Path(__file__).with_name("sample.safetensors"),
    _of_one_thing,
    calibration=200,
    evaluation=600,
    policy=Policy(top=3),
)
DETECTOR = Network(
    "detector",
    Path(__file__).with_name("sample-detector.safetensors"),
    _of_many_things,
    calibration=16,
    evaluation=72,
    policy=Policy(threshold=0.5, track=True),
)
