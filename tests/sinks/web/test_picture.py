import json

import cv2
import numpy as np
import pytest

from edgeresnet.core.frames import Frame
from edgeresnet.core.predictions import Classification, Detections, Embedding, Label
from edgeresnet.sinks.web.picture import Look, make_picture, said

CAT = Classification((Label(1, "tabby", 0.9),))


def decoded(frame, prediction, **look):
    picture = make_picture(frame, prediction, 0, Look(**look))
    return cv2.imdecode(np.frombuffer(picture.jpeg, np.uint8), cv2.IMREAD_COLOR)


def frame(width, height, region=None):
    return Frame(np.full((height, width, 3), 120, np.uint8), 5, 0, "s", region=region)


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        ((640, 480), (640, 480)),
        ((1280, 720), (1280, 720)),
        ((3840, 2160), (1280, 720)),
        ((1080, 1920), (720, 1280)),
        ((4000, 1), (1280, 1)),
    ],
)
def test_wide_pictures_are_made_smaller(size, shown):
    assert decoded(frame(*size), CAT).shape[1::-1] == shown


def test_boxes_and_region_lie_where_they_are_in_the_smaller_picture():
    box = Detections(
        np.array([[1280, 720, 2560, 1440]], np.float32),
        np.ones(1, np.float32),
        np.zeros(1, int),
        ("",),
    )
    nothing = Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0, int), ())
    for prediction, region in ((box, None), (nothing, (1280, 720, 1280, 720))):
        changed = np.abs(decoded(frame(2560, 1440, region), prediction).astype(int) - 120).max(2)
        rows, columns = np.nonzero(changed > 40)
        assert abs(columns.min() - 640) <= 12
        assert abs(columns.max() - 1279) <= 12
        assert abs(rows.max() - 719) <= 12


def test_the_page_gets_the_picture_without_the_label_panel():
    plain = decoded(frame(320, 240), CAT, labels=False)
    assert np.abs(plain.astype(int) - 120).max() <= 3
    assert np.abs(decoded(frame(320, 240), CAT).astype(int) - 120).max() > 50


def test_what_was_seen_is_said_in_ascii_and_few_words():
    labels = Classification(tuple(Label(i, "é\r\n\x7f" * 99, 0.5) for i in range(50)))
    text = said(labels)
    assert text.isascii()
    assert text.isprintable()
    assert len(json.loads(text)["labels"]) == 5
    assert len(text) < 4000


def test_boxes_are_counted_by_name():
    names = ("cat", "dog", "cat")
    boxes = Detections(np.zeros((3, 4)), np.ones(3), np.zeros(3, int), names)
    assert json.loads(said(boxes)) == {"boxes": 3, "labels": [["cat", 2], ["dog", 1]]}


def test_an_embedding_is_only_counted():
    assert json.loads(said(Embedding(np.ones(2048, np.float32)))) == {"features": 2048}
