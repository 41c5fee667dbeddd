"""Drawn pictures and clips are repeatable, balanced and truthful about their boxes."""

import hashlib
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeresnet.datasets.procedural import (
    CLASSES,
    Scene,
    draw_clip,
    draw_picture,
    write_pictures,
)
from edgeresnet.datasets.procedural.placing import Placement, place
from edgeresnet.datasets.procedural.shapes import draw_sprite


def digest(scene: Scene) -> str:
    parts = scene.pixels, scene.boxes, scene.box_classes
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()


def assert_well_formed(scene: Scene, size: tuple[int, int]) -> None:
    width, height = size
    assert scene.pixels.shape == (height, width, 3)
    assert scene.pixels.dtype == np.uint8
    assert scene.pixels.flags.c_contiguous
    assert scene.boxes.dtype == np.float32
    assert scene.box_classes.dtype == np.int64
    assert scene.boxes.shape == (len(scene.box_classes), 4)
    x0, y0, x1, y1 = scene.boxes.T
    assert (scene.boxes >= 0).all()
    assert (x1 <= width).all()
    assert (y1 <= height).all()
    assert (x1 > x0).all()
    assert (y1 > y0).all()
    assert set(scene.box_classes.tolist()) <= set(range(len(CLASSES)))


def test_class_names_are_distinct_and_fit_for_folders() -> None:
    assert len(set(CLASSES)) == len(CLASSES) == 24
    assert all(name.strip(" abcdefghijklmnopqrstuvwxyz") == "" for name in CLASSES)


def test_a_picture_depends_on_its_seed_and_index_alone() -> None:
    first = [digest(draw_picture(index, seed=3)) for index in range(6)]
    again = [digest(draw_picture(index, seed=3)) for index in reversed(range(6))]
    assert first == again[::-1]
    assert len(set(first)) == 6
    assert digest(draw_picture(0, seed=4)) not in first


@pytest.mark.parametrize("size", [(160, 160), (97, 64), (320, 240)])
def test_pictures_are_well_formed(size: tuple[int, int]) -> None:
    for index in range(2 * len(CLASSES)):
        scene = draw_picture(index, seed=5, size=size)
        assert_well_formed(scene, size)
        assert scene.box_classes[0] == scene.class_index


def test_the_main_thing_lies_about_the_middle() -> None:
    boxes = np.stack([draw_picture(index, seed=6).boxes[0] for index in range(3 * len(CLASSES))])
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    assert np.abs(middles - 80).max() < 0.35 * 160
    assert np.abs(middles - 80).mean() < 0.1 * 160
    sides = (boxes[:, 2:] - boxes[:, :2]).max(1)
    assert sides.min() > 0.15 * 160


def test_classes_take_turns() -> None:
    counts = Counter(draw_picture(index, seed=7).class_index for index in range(2 * len(CLASSES)))
    assert counts == dict.fromkeys(range(len(CLASSES)), 2)


@pytest.mark.parametrize("index", range(len(CLASSES)), ids=CLASSES)
def test_a_box_touches_its_thing_on_all_sides(index: int) -> None:
    sprite = draw_sprite(index, 200, np.random.default_rng(index))
    picture = np.full((240, 320, 3), 255, np.uint8)
    sprite[..., :3] = 0  # all black, so that every covered pixel shows
    placed = place(picture, sprite, Placement(150, 110, 130, turn=20))
    assert placed is not None
    rows, columns = np.nonzero(picture[..., 0] < 128)
    measured = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert np.abs(np.subtract(measured, placed.box)).max() <= 1
    assert placed.visible > 0.9


@pytest.mark.parametrize("index", range(len(CLASSES)), ids=CLASSES)
def test_no_sprite_is_cut_off_at_its_canvas(index: int) -> None:
    for seed in range(8):
        alpha = draw_sprite(index, 160, np.random.default_rng(seed))[..., 3]
        edges = (alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1])
        assert max(int(edge.max()) for edge in edges) < 64


def test_what_is_outside_is_not_placed() -> None:
    sprite = draw_sprite(0, 64, np.random.default_rng(0))
    picture = np.zeros((100, 100, 3), np.uint8)
    assert place(picture, sprite, Placement(-200, 50, 60)) is None
    assert not picture.any()
    placed = place(picture, sprite, Placement(0, 50, 60))
    assert placed is not None
    assert placed.visible == pytest.approx(0.5, abs=0.06)


def test_written_pictures_lie_in_class_folders(tmp_path: Path) -> None:
    paths = write_pictures(tmp_path, 30, seed=8, size=(96, 80))
    assert len(paths) == len(set(paths)) == 30
    for index, path in enumerate(paths):
        assert path.parent == tmp_path / CLASSES[index % len(CLASSES)]
        pixels = cv2.imread(str(path))
        assert pixels is not None
        assert pixels.shape == (80, 96, 3)
        drawn = draw_picture(index, seed=8, size=(96, 80)).pixels
        assert np.abs(pixels.astype(int) - drawn).mean() < 8


@pytest.mark.parametrize("seed", range(3))
def test_a_longer_clip_begins_with_the_shorter_one(seed: int) -> None:
    short = [digest(scene) for scene in draw_clip(4, seed=seed, size=(320, 240))]
    long = [digest(scene) for scene in draw_clip(7, seed=seed, size=(320, 240))]
    assert long[:4] == short
    assert len(set(long)) == 7


@pytest.mark.parametrize("seed", range(4))
def test_clip_frames_are_well_formed_and_show_their_main_thing(seed: int) -> None:
    scenes = list(draw_clip(30, seed=seed, size=(320, 240), fps=4))
    for number, scene in enumerate(scenes):
        assert_well_formed(scene, (320, 240))
        assert scene.class_index in scene.box_classes
        x0, y0, x1, y1 = max(
            scene.boxes[scene.box_classes == scene.class_index],
            key=lambda box: (box[2] - box[0]) * (box[3] - box[1]),
        )
        if number % 8 == 4:  # halfway through its turn
            assert abs((x0 + x1) / 2 - 160) < 40
            assert abs((y0 + y1) / 2 - 120) < 40


def test_the_main_thing_changes_every_two_seconds() -> None:
    scenes = draw_clip(24, seed=1, size=(160, 120), fps=2)
    mains = [scene.class_index for scene in scenes]
    assert all(len(set(mains[n : n + 4])) == 1 for n in range(0, 24, 4))
    assert len(set(mains)) == 6


def test_a_thing_of_a_clip_keeps_its_identity_its_class_and_nearly_its_place() -> None:
    before: dict[int, tuple[int, np.ndarray]] = {}
    for scene in draw_clip(40, seed=3, size=(160, 120), fps=20):
        identities = scene.identities.tolist()
        assert len(set(identities)) == len(identities)
        now = dict(
            zip(identities, zip(scene.box_classes.tolist(), scene.boxes, strict=True), strict=True)
        )
        for one in now.keys() & before.keys():
            assert now[one][0] == before[one][0]
            assert np.abs(now[one][1] - before[one][1]).max() < 25
        assert not before or now.keys() & before.keys()
        before = now


def test_a_clip_moves_smoothly() -> None:
    scenes = list(draw_clip(20, seed=2, size=(320, 240), fps=30))[10:]
    middles = []
    for scene in scenes:
        boxes = scene.boxes[scene.box_classes == scene.class_index]
        box = max(boxes, key=lambda b: (b[2] - b[0]) * (b[3] - b[1]))
        middles.append((box[:2] + box[2:]) / 2)
    assert np.abs(np.diff(middles, axis=0)).max() < 6
