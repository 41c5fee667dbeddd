"""The sample detector: a quarter-width RetinaNet of drawn pictures, from the sample classifier."""

from __future__ import annotations

import argparse
import os
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import torch
from detector_data import Phase, Recipe
from detector_training import (
    mean_precision,
    restate,
    train,
    widen,
    write,
)
from safetensors.torch import load_file

from edgeresnet.convert.networks import (
    ResNetSpec,
    RetinaNet,
    RetinaNetSpec,
)
from edgeresnet.core.preprocess import Crop, Preprocess
from edgeresnet.datasets.annotated import Annotated
from edgeresnet.datasets.annotations import read_annotations
from edgeresnet.datasets.procedural import CLASSES, write_detection_set
from edgeresnet.datasets.procedural.shapes import SHAPES

DEMO = Path(__file__).parents[1] / "edgeresnet" / "demo"
DEFAULT_OUT = DEMO / "sample-detector.safetensors"
BACKBONE = DEMO / "sample.safetensors"
SPEC = RetinaNetSpec(
    ResNetSpec("bottleneck", (3, 4, 6, 3), width=0.25, classes=1),
    classes=len(CLASSES),
    channels=64,
)
PREPROCESS = Preprocess(size=(320, 320), resize=None, crop=Crop.LETTERBOX)
PART = 1000
TRAIN_SEED, VALIDATION_SEED = 101, 2
VALIDATION_PICTURES = 500
LOOK = 100  # validation pictures after each epoch


def draw(folder: Path, part: tuple[int, int]) -> tuple[Annotated, ...]:
    """Set ``part`` (seed, pictures) as it is read back from its files; drawn if not yet there."""
    cv2.setNumThreads(1)
    seed, count = part
    place = folder / f"seed{seed}_{count}"
    table = place / "instances.json"
    if not table.exists():
        write_detection_set(place, count, seed)
    return read_annotations(place / "images", table, strict=True).pictures


def drawn(folder: Path, pictures: int) -> tuple[list[Annotated], list[Annotated]]:
    """Training and validation pictures, the former in sets of a thousand, each of its own seed."""
    counts = [min(PART, pictures - start) for start in range(0, pictures, PART)]
    parts = [(TRAIN_SEED + place, count) for place, count in enumerate(counts)]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        sets = list(
            pool.map(partial(draw, folder), [(VALIDATION_SEED, VALIDATION_PICTURES), *parts])
        )
    return [one for part in sets[1:] for one in part], list(sets[0])


def fresh(seed: int) -> RetinaNet:
    """The network before training: the sample classifier's backbone, the rest drawn."""
    torch.manual_seed(seed)
    network = RetinaNet(SPEC)
    widen(network)
    state = {k: v.float() for k, v in load_file(BACKBONE).items() if not k.startswith("fc.")}
    left = network.backbone.body.load_state_dict(state, strict=False)
    if left.unexpected_keys or any("num_batches" not in key for key in left.missing_keys):
        raise ValueError(f"{BACKBONE.name} is no backbone of this detector: {left}")
    return network


def phases(epochs: int) -> tuple[Phase, ...]:
    """Small windows first: they cost half and teach the early epochs as much."""
    early = round(0.67 * epochs)
    return Phase(early, 224, (1.0, 1.6)), Phase(epochs - early, 320, (0.9, 1.25))


def make(options: argparse.Namespace, folder: Path) -> None:
    """Draws, trains, measures and writes."""
    started = time.monotonic()
    data, validation = drawn(folder, options.pictures)
    print(f"drawn in {(time.monotonic() - started) / 60:.1f} min", flush=True)
    recipe = Recipe(
        phases=phases(options.epochs),
        batch=8,
        lr=1.5e-3,
        backbone_lr=5e-4,
        mirror=tuple(shape.mirror for shape in SHAPES),
        seed=options.seed,
    )
    network = fresh(options.seed)
    for epoch, average in train(
        network, data, recipe, torch.device("cpu"), folder / "sample-detector.pth"
    ):
        _, value50 = mean_precision(average, validation[:LOOK], PREPROCESS, CLASSES)
        print(f"epoch {epoch}: mAP@.5 {value50:.2f} % of {LOOK} pictures", flush=True)
    restate(average, data[:1024], PREPROCESS)
    made_with = (
        f"tools/train_sample.py --task detect --seed {options.seed} --epochs {options.epochs} "
        f"--pictures {options.pictures} --threads {torch.get_num_threads()}; "
        f"torch {torch.__version__}"
    )
    write(
        average,
        options.out,
        validation,
        PREPROCESS,
        CLASSES,
        about={"seed": VALIDATION_SEED},
        made_with=made_with,
    )
    print(f"{(time.monotonic() - started) / 60:.1f} min")
