"""A changed picture is shown small, and with its boxes where it is of a detector."""

import base64
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeresnet.quantize.flips import Box, BoxChange, BoxFlip, Turn
from edgeresnet.quantize.thumbnails import _FLOAT, _INT8, thumbnail

WIDE, HIGH = 640, 480
LEFT, RIGHT = (64.0, 160.0, 256.0, 400.0), (384.0, 64.0, 576.0, 400.0)
SAME = np.array([(16, 16, 620, 470)], np.float32)


@pytest.fixture
def grey(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((HIGH, WIDE, 3), 128, np.uint8))
    return tmp_path / "a.png"


def box(xyxy, score=0.9):
    return Box("cat", 0, score, xyxy, None)


def picture(flip):
    packed = np.frombuffer(base64.b64decode(thumbnail(flip)), np.uint8)
    return cv2.imdecode(packed, cv2.IMREAD_COLOR)


def at_edge(pixels, xyxy, colour):
    """Whether the right edge of the box is of that colour, as far as JPEG keeps it."""
    scale = pixels.shape[1] / WIDE
    x, y = round(xyxy[2] * scale), round((xyxy[1] + xyxy[3]) / 2 * scale)
    around = pixels[y, x - 2 : x + 3].astype(int)
    return bool((np.abs(around - colour).max(1) < 60).any())


def test_only_what_was_sure_of_either_side_is_drawn(grey):
    lost = BoxChange(box(LEFT), box(RIGHT, 0.3))
    drawn = picture(BoxFlip(grey, (lost,), SAME))
    assert drawn.shape[:2] == (270, 360)
    assert at_edge(drawn, LEFT, _FLOAT)
    assert not at_edge(drawn, RIGHT, _INT8)
    new = picture(BoxFlip(grey, (BoxChange(None, box(RIGHT)),), SAME))
    assert at_edge(new, RIGHT, _INT8)
    assert not at_edge(new, LEFT, _FLOAT)


def test_both_boxes_of_a_thing_that_moved_are_drawn(grey):
    drawn = picture(BoxFlip(grey, (BoxChange(box(LEFT), box(RIGHT)),), SAME))
    assert at_edge(drawn, LEFT, _FLOAT)
    assert at_edge(drawn, RIGHT, _INT8)


def test_boxes_beyond_the_picture_and_on_its_edge_are_drawn_inside(tmp_path):
    cv2.imwrite(str(tmp_path / "s.png"), np.zeros((4, 9, 3), np.uint8))
    change = BoxChange(box((-50.0, -50.0, 900.0, 900.0)), box((8.0, 3.0, 9.0, 4.0)))
    assert picture(BoxFlip(tmp_path / "s.png", (change,) * 12, SAME)).shape == (160, 360, 3)


def test_other_pictures_are_plain_and_smaller_and_one_that_has_gone_leaves_nothing(grey):
    plain = picture(Turn(grey, 0.5))
    assert plain.shape == (120, 160, 3)
    assert np.abs(plain.astype(int) - 128).max() < 4
    assert thumbnail(Turn(Path("gone.png"), 0.5)) == ""
