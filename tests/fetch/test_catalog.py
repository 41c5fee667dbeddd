"""The catalogue agrees with itself, and finds what people type."""

import re

import pytest

from edgeresnet.convert.networks import ARCHITECTURES
from edgeresnet.core.errors import UsageError
from edgeresnet.core.preprocess import Preprocess
from edgeresnet.fetch.catalog import BASE_URL, WEIGHTS, find_weights


@pytest.mark.parametrize("weights", WEIGHTS.values(), ids=WEIGHTS)
def test_an_entry_is_of_a_network_that_convert_knows(weights):
    assert weights.arch in ARCHITECTURES
    assert re.fullmatch("[0-9a-f]{8}", weights.sha256_prefix)
    assert re.fullmatch(f"{weights.arch}-v[12]", weights.name)
    assert 69 < weights.top1 < 84
    assert weights.preprocess.size == (224, 224)


def test_no_two_entries_are_the_same_file():
    assert len({weights.file for weights in WEIGHTS.values()}) == len(WEIGHTS)


def test_files_come_over_https_from_their_publisher():
    assert BASE_URL.startswith("https://download.pytorch.org/")


def test_the_second_weights_want_the_smaller_resize():
    assert WEIGHTS["resnet50-v2"].preprocess.resize == 232
    assert WEIGHTS["resnet50-v1"].preprocess == Preprocess()


def test_a_bare_architecture_means_its_newest_weights():
    assert find_weights("resnet50").name == "resnet50-v2"
    assert find_weights("resnet18").name == "resnet18-v1"


def test_a_slip_of_the_key_gets_a_suggestion():
    with pytest.raises(UsageError) as caught:
        find_weights("resnet5O-v1")
    assert "resnet50-v1" in caught.value.hint
