import numpy as np

from edgeresnet.cli.told import in_short
from edgeresnet.core.predictions import Classification, Detections, Embedding, Label


def boxes(*names):
    n = len(names)
    return Detections(np.zeros((n, 4), np.float32), np.ones(n, np.float32), np.zeros(n, int), names)


def test_a_prediction_is_told_in_a_few_words():
    assert (
        in_short(Classification((Label(1, "tabby", 0.934), Label(2, "lynx", 0.01)))) == "tabby 93%"
    )
    assert in_short(boxes("car", "person", "person")) == "person 2, car"
    assert in_short(boxes()) == ""
    assert in_short(Embedding(np.ones(3, np.float32))) == ""
