from itertools import islice, pairwise

import numpy as np
import pytest

from edgeresnet.core.errors import UsageError
from edgeresnet.sources import open_source


def frames(uri):
    with open_source(uri) as source:
        return [frame.pixels for frame in source]


@pytest.mark.parametrize("pattern", ["noise", "bars"])
def test_frames_differ_from_each_other_and_share_no_memory(pattern):
    given = frames(f"synthetic://64x48?count=20&pattern={pattern}")
    assert len(given) == 20
    for before, after in pairwise(given):
        assert not np.array_equal(before, after)
        assert not np.shares_memory(before, after)


def test_the_same_seed_gives_the_same_frames_and_another_seed_others():
    one, two = frames("synthetic://8x4?count=3&seed=1"), frames("synthetic://8x4?count=3&seed=1")
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, frames("synthetic://8x4?count=3&seed=2"))


def test_noise_differs_for_hundreds_of_frames():
    assert len({pixels.tobytes() for pixels in frames("synthetic://4x4?count=500")}) == 500


def test_writing_on_a_frame_changes_no_later_one():
    with open_source("synthetic://8x4?count=600") as source:
        for frame in source:
            frame.pixels[:] = 0
    assert frame.pixels.max() == 0
    assert frames("synthetic://8x4?count=1")[0].max() > 0


def test_a_count_of_zero_never_ends():
    with open_source("synthetic://4x4?count=0") as source:
        assert [frame.index for frame in islice(source, 1500)][-1] == 1499


@pytest.mark.parametrize(
    ("options", "live", "fps"),
    [("", False, None), ("?live=1", True, 30), ("?fps=1000", True, 1000), ("?live=0", False, None)],
)
def test_live_sources_have_a_rate(options, live, fps):
    with open_source(f"synthetic://4x4{options}") as source:
        assert (source.live, source.fps) == (live, fps)


def test_a_live_source_gives_every_frame_it_counts():
    assert len(frames("synthetic://4x4?count=5&fps=2000")) == 5


def test_the_size_is_640_by_480_when_nobody_says():
    assert frames("synthetic://?count=1")[0].shape == (480, 640, 3)


@pytest.mark.parametrize("place", ["640", "0x4", "4x0", "axb", "99999x4", "4x4x3", "-1x4"])
def test_a_place_that_is_no_size_is_refused(place):
    with pytest.raises(UsageError, match="no size") as caught:
        open_source(f"synthetic://{place}")
    assert "WIDTHxHEIGHT" in caught.value.hint


@pytest.mark.parametrize("option", ["count=-1", "fps=-1", "pattern=scene", "seed=x", "live=maybe"])
def test_an_option_out_of_range_is_refused_by_name(option):
    with pytest.raises(UsageError, match=option.partition("=")[0]):
        open_source(f"synthetic://4x4?{option}")
