"""Random pictures with boxes, and a detector that finds them more or less."""

from pathlib import Path

import numpy as np
import pytest

from edgeresnet.core.predictions import Detections
from edgeresnet.datasets.annotated import Annotated

SIZE = (320, 240)


def boxes_in(rng, count):
    corner = rng.uniform((0, 0), (260, 180), (count, 2))
    side = rng.uniform(8, 60, (count, 2))
    return np.concatenate([corner, corner + side], 1).astype(np.float32)


@pytest.fixture(scope="session")
def picture():
    """One annotated picture of the given boxes."""

    def made(boxes, class_ids, *, crowd=(), difficult=(), name="a.jpg"):
        n = len(class_ids)
        return Annotated(
            Path(name),
            SIZE,
            np.asarray(boxes, np.float32).reshape(-1, 4),
            np.asarray(class_ids, np.int64),
            np.isin(np.arange(n), crowd),
            np.isin(np.arange(n), difficult),
        )

    return made


@pytest.fixture(scope="session")
def detections():
    def made(xyxy, scores, class_ids):
        ids = np.asarray(class_ids, np.int64)
        return Detections(
            np.asarray(xyxy, np.float32).reshape(-1, 4),
            np.asarray(scores, np.float32),
            ids,
            tuple(f"class {i}" for i in ids),
        )

    return made


@pytest.fixture(scope="session")
def pictures(picture):
    """Some with crowds, difficult things, or nothing."""

    def made(rng, count, classes=5):
        found = []
        for number in range(count):
            n = int(rng.integers(0, 9))
            aside = np.flatnonzero(rng.random(n) < 0.2)
            found.append(
                picture(
                    boxes_in(rng, n),
                    rng.integers(0, classes, n),
                    crowd=aside[::2],
                    difficult=aside[1::2],
                    name=f"{number}.jpg",
                )
            )
        return found

    return made


@pytest.fixture(scope="session")
def found_on(detections):
    """Moved, missed, doubled, misnamed and invented boxes, with equal scores among them."""

    def made(rng, truth, classes=5, blur=6.0):
        found = []
        for picture in truth:
            seen = rng.random(len(picture.boxes)) < 0.8
            boxes, ids = picture.boxes[seen], picture.class_ids[seen].copy()
            again = rng.random(len(boxes)) < 0.3
            boxes, ids = np.concatenate([boxes, boxes[again]]), np.concatenate([ids, ids[again]])
            boxes = boxes + rng.normal(0, blur, boxes.shape).astype(np.float32)
            other = rng.random(len(ids)) > 0.85
            ids[other] = rng.integers(0, classes, other.sum())
            more = int(rng.integers(0, 5))
            boxes = np.concatenate([boxes, boxes_in(rng, more)])
            ids = np.concatenate([ids, rng.integers(0, classes, more)])
            boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
            found.append(detections(boxes, np.round(rng.random(len(boxes)), 2), ids))
        return found

    return made
