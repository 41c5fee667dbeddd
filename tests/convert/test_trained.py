"""What was said of the training: options go before the file, the file before the defaults."""

import pytest

from edgeresnet.convert.trained import resize_for, said_settings
from edgeresnet.core.errors import UsageError
from edgeresnet.core.preprocess import Color, Crop, Preprocess

IN_FILE = Preprocess(size=(128, 128), resize=146, color=Color.BGR, mean=(0.1, 0.2, 0.3))


def test_nothing_said_is_imagenets_defaults():
    found = said_settings(None, None, {}, None)
    assert found.preprocess == Preprocess()
    assert found.stride_in is None
    assert found.said == frozenset()


def test_a_file_that_tells_has_said_everything():
    found = said_settings(IN_FILE, "1x1", {}, None)
    assert found.preprocess == IN_FILE
    assert found.stride_in == "1x1"
    assert found.said == {"color", "normalisation", "stride_in"}


def test_an_option_goes_before_the_file():
    found = said_settings(IN_FILE, "1x1", {"mean": (0.5, 0.5, 0.5)}, "3x3")
    assert found.preprocess.mean == (0.5, 0.5, 0.5)
    assert found.preprocess.color is Color.BGR
    assert found.stride_in == "3x3"


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"size": (64, 64)}, set()),
        ({"crop": "none"}, set()),
        ({"color": "rgb"}, {"color"}),
        ({"mean": (0, 0, 0)}, {"normalisation"}),
        ({"std": (1, 1, 1)}, {"normalisation"}),
        ({"scale": 1.0}, {"normalisation"}),
        ({"color": "bgr", "scale": 1.0}, {"color", "normalisation"}),
    ],
)
def test_only_what_the_probe_could_contradict_counts_as_said(overrides, said):
    assert said_settings(None, None, overrides, None).said == said
    assert said_settings(None, None, overrides, "1x1").said == {*said, "stride_in"}


def test_bgr_alone_keeps_each_physical_channels_mean():
    found = said_settings(None, None, {"color": "bgr"}, None).preprocess
    assert found.mean == Preprocess().mean[::-1]
    assert found.std == Preprocess().std[::-1]
    own = said_settings(None, None, {"color": "bgr", "mean": (1, 2, 3)}, None).preprocess
    assert own.mean == (1, 2, 3)


@pytest.mark.parametrize("size", [(224, 224), (128, 128), (192, 256), 160])
def test_another_size_keeps_torchvisions_proportion_unless_told(size):
    found = said_settings(None, None, {"size": size}, None).preprocess
    height, width = found.size
    assert found.resize == resize_for((height, width)) == round(max(height, width) * 256 / 224)
    assert found.resize >= max(height, width)
    told = said_settings(None, None, {"size": size, "resize": 300}, None).preprocess
    assert told.resize == 300


def test_a_fixed_size_is_taken_and_no_other_allowed():
    assert said_settings(None, None, {}, None, (96, 64)).preprocess.size == (96, 64)
    for same in ((64, 64), [64, 64], 64):
        found = said_settings(None, None, {"size": same}, None, (64, 64))
        assert found.preprocess.size == (64, 64)
    with pytest.raises(UsageError, match="takes 96x64 and no other size"):
        said_settings(None, None, {"size": (64, 96)}, None, (96, 64))


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        ({"size": (0, 10)}, "preprocessing: size.0"),
        ({"resize": 100}, "resize 100 is smaller than the crop 224"),
        ({"std": (1, 0, 1)}, "std must be positive"),
        ({"color": "rbg"}, "preprocessing: color"),
        ({"colour": "rgb"}, "preprocessing: colour"),
        ({"scale": -1}, "preprocessing: scale"),
        ({"mean": (1, 2)}, "preprocessing: mean"),
    ],
)
def test_a_wrong_option_is_refused_by_its_name_in_one_line(overrides, says):
    with pytest.raises(UsageError) as caught:
        said_settings(None, None, overrides, None)
    assert says in caught.value.what
    assert "\n" not in caught.value.what


def test_a_stride_in_neither_place_is_refused():
    with pytest.raises(UsageError, match="'2x2' is neither 1x1 nor 3x3"):
        said_settings(None, None, {}, "2x2")


def test_stretching_needs_no_resize():
    found = said_settings(None, None, {"crop": "none", "resize": None}, None).preprocess
    assert (found.crop, found.resize) == (Crop.NONE, None)
