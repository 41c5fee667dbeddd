"""Tiled pictures hold the scenes and their boxes where the table says."""

import detector_sizes
import numpy as np
import pytest

from edgeresnet.core.pictures import read_picture
from edgeresnet.datasets.annotations import read_annotations
from edgeresnet.datasets.procedural.crowds import draw_scene

SIDE = detector_sizes.SCENE


@pytest.fixture(scope="module")
def tiled(tmp_path_factory):
    """Two pictures of four scenes each."""
    return detector_sizes.write_tiled(tmp_path_factory.mktemp("tiled"), 2, seed=5)


def test_every_scene_lies_in_its_corner(tiled):
    for number in range(2):
        pixels = read_picture(tiled.with_name("images") / f"{number:06d}.png")
        assert pixels.shape == (2 * SIDE, 2 * SIDE, 3)
        for place in range(4):
            row, column = divmod(place, 2)
            corner = pixels[row * SIDE :, column * SIDE :][:SIDE, :SIDE].astype(float)
            drawn = draw_scene(4 * number + place, seed=5).pixels
            assert np.abs(corner - drawn).mean() < 5  # JPEG's loss


def test_every_box_lies_with_its_scene(tiled):
    found = read_annotations(tiled.with_name("images"), tiled)
    for number, picture in enumerate(found.pictures):
        expected = []
        for place in range(4):
            row, column = divmod(place, 2)
            scene = draw_scene(4 * number + place, seed=5)
            moved = scene.boxes + np.array([column * SIDE, row * SIDE] * 2)
            expected += [(*box, kind) for box, kind in zip(moved, scene.box_classes, strict=True)]
        has = [(*box, kind) for box, kind in zip(picture.boxes, picture.class_ids, strict=True)]
        assert np.array_equal(sorted(has), sorted(expected))
    assert len(found.pictures) == 2
    assert found.faults.counts == {}
