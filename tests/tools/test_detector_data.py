"""Whatever is done to a picture, its boxes stay on its things."""

from itertools import pairwise

import cv2
import numpy as np
import pytest
import torch
from detector_data import Phase, Recipe, augment, batches, to_tensor

from edgeresnet.core.preprocess import Preprocess
from edgeresnet.datasets.annotated import Annotated

LEFT, RIGHT = (40, 30, 70, 90), (130, 60, 180, 80)  # in a picture of 200 x 120


def recipe(*, mirror=(True, True), upright=True, batch=2, epochs=2, zoom=(0.7, 1.6)):
    return Recipe((Phase(epochs, 96, zoom),), batch, 1e-3, 1e-4, mirror, upright=upright)


def scene(path):
    """A white thing and a grey one on black."""
    pixels = np.zeros((120, 200, 3), np.uint8)
    for (x0, y0, x1, y1), value in ((LEFT, 255), (RIGHT, 160)):
        pixels[y0:y1, x0:x1] = value
    flags = np.zeros(2, np.bool_)
    boxes = np.array([LEFT, RIGHT], np.float32)
    return pixels, Annotated(path, (200, 120), boxes, np.array([0, 1]), flags, flags)


def many(tmp_path, plan, count=60):
    pixels, truth = scene(tmp_path / "none.png")
    rng = np.random.default_rng(4)
    return [augment(truth, pixels, plan.phases[0], plan, rng) for _ in range(count)]


@pytest.mark.parametrize("upright", [True, False])
def test_boxes_stay_on_their_things_through_zoom_shift_and_mirror(tmp_path, upright):
    found = many(tmp_path, recipe(upright=upright))
    places = 0
    for pixels, truth in found:
        assert pixels.shape == (96, 96, 3)
        assert truth.boxes.min() >= 0
        assert truth.boxes.max() <= 96
        for box, kind in zip(truth.boxes.round().int().tolist(), truth.class_ids, strict=True):
            x0, y0, x1, y1 = box
            inside = np.median(pixels[y0:y1, x0:x1])
            assert inside > 175 if kind == 0 else 100 < inside <= 175 + 36
            places += 1
    assert places > 90  # most things stay in most windows


def test_what_the_window_leaves_too_little_of_is_no_thing(tmp_path):
    counts = {len(truth.boxes) for _, truth in many(tmp_path, recipe(zoom=(2.5, 3.0)))}
    assert counts >= {0, 1}
    assert {len(truth.boxes) for _, truth in many(tmp_path, recipe(zoom=(0.5, 1.0)))} == {2}


def test_only_classes_that_allow_it_are_mirrored(tmp_path):
    def white_left(found):
        return [float(t.boxes[0, 0]) < float(t.boxes[1, 0]) for _, t in found]

    fixed = recipe(mirror=(True, False), zoom=(0.6, 0.9))
    assert all(white_left(many(tmp_path, fixed)))
    share = np.mean(white_left(many(tmp_path, recipe(zoom=(0.6, 0.9)))))
    assert 0.3 < share < 0.7


def test_batches_come_in_the_same_order_for_the_same_seed_and_differ_by_epoch(tmp_path):
    data = []
    for number in range(5):
        pixels, truth = scene(tmp_path / f"{number}.png")
        cv2.imwrite(str(truth.path), pixels)
        data.append(truth)
    one, other = list(batches(data, recipe())), list(batches(data, recipe()))
    assert [epoch for epoch, _, _ in one] == [0, 0, 1, 1]
    assert all(torch.equal(a[1], b[1]) for a, b in zip(one, other, strict=True))
    assert not any(torch.equal(a[1], b[1]) for a, b in pairwise(one))


def test_the_network_sees_pixels_as_the_runtime_gives_them(tmp_path):
    pixels, _ = scene(tmp_path / "none.png")
    pixels[..., 2] //= 3
    wanted = Preprocess().normalise(pixels[None])
    assert np.allclose(to_tensor([pixels]).numpy(), wanted, atol=1e-5)


@pytest.mark.parametrize("side", [64, 100])
def test_sides_that_training_goes_wrong_at_are_refused(side):
    with pytest.raises(ValueError, match=str(side)):
        Phase(1, side, (1, 1))
