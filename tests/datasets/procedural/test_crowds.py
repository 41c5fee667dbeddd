"""Pictures for detectors are repeatable, and every thing on them has its box."""

import hashlib
import json

import cv2
import numpy as np
import pytest

from edgeresnet.core.labels import Labels
from edgeresnet.datasets.annotations import for_labels, read_annotations
from edgeresnet.datasets.procedural import CLASSES, crowds, draw_scene, write_detection_set
from edgeresnet.datasets.procedural.crowds import LEAST_VISIBLE, MOST_THINGS, SMALLEST


def digest(scene):
    parts = scene.pixels, scene.boxes, scene.box_classes
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()


@pytest.fixture(scope="module")
def scenes():
    return [draw_scene(index, seed=21) for index in range(96)]


def test_a_scene_depends_on_its_seed_and_index_alone():
    first = [digest(draw_scene(index, seed=3)) for index in range(4)]
    again = [digest(draw_scene(index, seed=3)) for index in reversed(range(4))]
    assert first == again[::-1]
    assert len({*first, digest(draw_scene(0, seed=4))}) == 5


def test_scenes_hold_one_to_eight_things_of_every_class_and_of_varied_size(scenes):
    counts = [len(scene.boxes) for scene in scenes]
    assert min(counts) == 1
    assert max(counts) == MOST_THINGS
    assert {kind for scene in scenes for kind in scene.box_classes} == set(range(len(CLASSES)))
    assert [scene.class_index for scene in scenes[:24]] == list(range(24))
    sides = np.concatenate([(scene.boxes[:, 2:] - scene.boxes[:, :2]).max(1) for scene in scenes])
    assert np.percentile(sides, 10) < 60
    assert np.percentile(sides, 90) > 110


@pytest.mark.parametrize("size", [(320, 320), (160, 96)])
def test_boxes_lie_in_the_picture_and_have_an_area(size):
    for index in range(12):
        scene = draw_scene(index, seed=5, size=size)
        assert scene.pixels.shape == (size[1], size[0], 3)
        assert (scene.boxes >= 0).all()
        assert (scene.boxes[:, 2:] <= size).all()
        assert ((scene.boxes[:, 2:] - scene.boxes[:, :2]).max(1) > 0.3 * SMALLEST * min(size)).all()


def test_some_things_lie_partly_on_others(scenes):
    def overlap(boxes):
        low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
        high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
        shared = np.triu((np.maximum(high - low, 0)).prod(2), 1)
        return (shared > 100).any()

    assert sum(overlap(scene.boxes) for scene in scenes) > len(scenes) / 4


def test_a_box_is_that_of_the_visible_part_and_nothing_is_drawn_without_one(monkeypatch):
    """Flat colours instead of things, on black: what is in the picture can be counted."""
    colours = [(kind + 1) * 10 for kind in range(len(CLASSES))]

    def sprite(kind, side, rng):
        flat = np.zeros((side, side, 4), np.uint8)
        edge = side // 10
        flat[edge:-edge, edge:-edge] = (colours[kind],) * 3 + (255,)
        return flat

    monkeypatch.setattr(crowds, "background", lambda _, w, h: np.zeros((h, w, 3), np.uint8))
    monkeypatch.setattr(crowds, "draw_sprite", sprite)
    monkeypatch.setattr(crowds, "_stand", lambda *_: None)
    monkeypatch.setattr(crowds, "_shadow", lambda *_: None)
    monkeypatch.setattr(crowds, "EFFECT", 0.0)
    for index in range(30):
        scene = draw_scene(index, seed=9)
        grey = scene.pixels[..., 0]
        once = [k for k in scene.box_classes if np.sum(scene.box_classes == k) == 1]
        assert once or len(scene.boxes) > 1
        for kind in once:
            x0, y0, x1, y1 = scene.boxes[scene.box_classes == kind][0]
            own = (grey == colours[kind]).astype(np.uint8)  # and soft edges of brighter things
            rows, columns = np.nonzero(cv2.morphologyEx(own, cv2.MORPH_OPEN, np.ones((3, 3))))
            seen = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
            assert np.abs(np.subtract(seen, (x0, y0, x1, y1))).max() <= 6
        whole = cv2.erode((grey > 0).astype(np.uint8), np.ones((3, 3)))
        for x0, y0, x1, y1 in scene.boxes.astype(int):
            whole[y0:y1, x0:x1] = 0
        assert not whole.any()


def test_a_thing_that_would_hide_another_is_not_placed():
    owner = np.full((10, 10), -1, np.int8)
    owner[:, :5] = 0
    over = np.zeros((10, 10), bool)
    over[: int(10 * (1 - LEAST_VISIBLE))] = True
    assert crowds._leaves_enough(owner, over, [50])
    over[: int(10 * (1 - LEAST_VISIBLE)) + 1] = True
    assert not crowds._leaves_enough(owner, over, [50])
    assert crowds._leaves_enough(np.full((10, 10), -1, np.int8), over, [])


def test_a_written_set_is_read_back_as_it_was_drawn(tmp_path):
    path = write_detection_set(tmp_path / "set", 5, seed=2, size=(200, 160))
    found = read_annotations(tmp_path / "set/images", path, strict=True)
    labelled, how = for_labels(found, Labels(CLASSES[::-1]))
    assert how == "names, 24 of 24"
    for index, picture in enumerate(labelled.pictures):
        scene = draw_scene(index, seed=2, size=(200, 160))
        assert np.array_equal(picture.boxes, scene.boxes)
        assert np.array_equal(len(CLASSES) - 1 - picture.class_ids, scene.box_classes)
        pixels = cv2.imread(str(picture.path))
        assert np.abs(pixels.astype(int) - scene.pixels).mean() < 8
    assert len(json.loads(path.read_text())["images"]) == 5
