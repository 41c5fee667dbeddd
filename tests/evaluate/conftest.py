"""A detector of coloured rectangles on black, which can be told to see wrongly."""

from contextlib import contextmanager

import cv2
import numpy as np
import pytest

from edgeresnet.core.labels import Labels
from edgeresnet.core.preprocess import Preprocess
from edgeresnet.core.tensors import BOXES, CLASS_IDS, SCORES
from edgeresnet.evaluate import stage
from edgeresnet.flow.predictor import Predictor

SIDE = 64
COLOURS = {"red": (0, 0, 255), "green": (0, 255, 0), "blue": (255, 0, 0)}
PLACES = 20


def rectangles(pixels, shift=0.0, score=0.9, miss=()):
    """Outputs for one fitted picture: a box around each colour that is there."""
    rows = []
    for kind, (name, colour) in enumerate(COLOURS.items()):
        there = (np.abs(pixels.astype(int) - colour).max(2) < 60).astype(np.uint8)
        x, y, wide, tall = cv2.boundingRect(there)
        if wide and name not in miss:
            rows.append((x + shift, y, x + wide + shift, y + tall, score, kind))
    found = np.zeros((PLACES, 6), np.float32)
    found[: len(rows)] = np.reshape(rows, (-1, 6))
    return {
        BOXES: found[None, :, :4],
        SCORES: found[None, :, 4],
        CLASS_IDS: found[None, :, 5].astype(np.int32),
    }


@pytest.fixture
def detectors(monkeypatch):
    """Give a name the way in which it sees; ``evaluate`` opens it by that name."""
    made = {}

    @contextmanager
    def open_predictor(path):
        options = dict(made[path.name])
        task = options.pop("task", "detect")
        names = options.pop("names", tuple(COLOURS))
        size = options.pop("size", (SIDE, SIDE))
        yield Predictor(
            f"{path.name} on fake",
            "sha256:0",
            task,
            Preprocess(size=size, resize=None, crop="letterbox"),
            Labels(names),
            (lambda pixels: rectangles(pixels, **options),) * 2,
        )

    monkeypatch.setattr(stage, "open_predictor", open_predictor)

    def detector(name, **options):
        made[name] = options
        return name

    return detector


@pytest.fixture
def coloured(tmp_path):
    """Ten pictures of 64 x 48 with a red, a green and a blue rectangle each, as a VOC folder."""
    root = tmp_path / "voc"
    for name in ("JPEGImages", "Annotations"):
        (root / name).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(10):
        pixels = np.zeros((48, SIDE, 3), np.uint8)
        things = []
        for place, (name, colour) in enumerate(COLOURS.items()):
            x, y = int(rng.integers(place * 20 + 1, place * 20 + 6)), int(rng.integers(1, 20))
            pixels[y : y + 20, x : x + 12] = colour
            corners = zip(
                ("xmin", "ymin", "xmax", "ymax"), (x + 1, y + 1, x + 12, y + 20), strict=True
            )
            box = "".join(f"<{corner}>{value}</{corner}>" for corner, value in corners)
            things.append(f"<object><name>{name.upper()}</name><bndbox>{box}</bndbox></object>")
        assert cv2.imwrite(str(root / f"JPEGImages/{number}.png"), pixels)
        size = f"<size><width>{SIDE}</width><height>48</height></size>"
        (root / f"Annotations/{number}.xml").write_text(
            f"<annotation>{size}{''.join(things)}</annotation>"
        )
    return root
