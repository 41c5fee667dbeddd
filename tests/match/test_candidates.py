"""Each candidate's option, given to convert, makes that very candidate."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeresnet.convert.trained import said_settings
from edgeresnet.core.preprocess import Color, Preprocess
from edgeresnet.match.candidates import candidates

CAFFE = Preprocess(color=Color.BGR, scale=1.0, mean=(103.939, 116.779, 123.68), std=(1.0, 1.0, 1.0))
givens = st.sampled_from(
    [
        Preprocess(),
        CAFFE,
        Preprocess(color=Color.BGR, mean=(0.5,) * 3, std=(0.2, 0.3, 0.4)),
        Preprocess(mean=(0.1, 0.2, 0.3), std=(0.4,) * 3),
    ]
)


def overrides_of(option):
    """The keyword arguments that a command line of options means."""
    words = option.split(" ")
    table = dict(zip(words[::2], words[1::2], strict=True))
    stride_in = table.pop("--stride-in", None)
    parsed = {
        key.removeprefix("--"): tuple(map(float, value.split(",")))
        if "," in value
        else value
        if key == "--color"
        else float(value)
        for key, value in table.items()
    }
    return parsed, stride_in


@given(given_=givens, stride_in=st.sampled_from(["", "1x1", "3x3"]))
def test_the_option_that_is_named_gives_what_was_tried(given_, stride_in):
    """Else the advice of the error would lead to another error."""
    for candidate in candidates(given_, stride_in)[1:]:
        changes, moved = overrides_of(candidate.option)
        made = said_settings(given_, stride_in or None, changes, moved)
        assert (made.stride_in or "") == candidate.stride_in
        ours, theirs = made.preprocess, candidate.preprocess
        assert ours.color is theirs.color
        assert ours.mean == pytest.approx(theirs.mean, rel=1e-5)
        assert ours.std == pytest.approx(theirs.std, rel=1e-5)
        assert ours.scale == pytest.approx(theirs.scale)


@given(given_=givens, stride_in=st.sampled_from(["", "1x1", "3x3"]))
def test_candidates_differ_from_the_given_one_in_what_they_say(given_, stride_in):
    first, *others = candidates(given_, stride_in)
    assert (first.preprocess, first.stride_in, first.ways(first)) == (
        given_,
        stride_in,
        frozenset(),
    )
    assert {c.preprocess.color for c in others} == set(Color)
    assert {c.stride_in for c in others} == ({"1x1", "3x3"} if stride_in else {""})
    for candidate in others:
        ways = candidate.ways(first)
        assert ways
        assert ("color" in ways) == (candidate.preprocess.color is not given_.color)
        assert ("stride_in" in ways) == (candidate.stride_in != stride_in)
        assert ways == first.ways(candidate)
        assert candidate.name
        assert candidate.preprocess.size == given_.size


def test_another_channel_order_keeps_each_physical_channels_numbers():
    (swapped,) = [
        c
        for c in candidates(Preprocess(), "")
        if c.ways(candidates(Preprocess(), "")[0]) == {"color"}
    ]
    assert swapped.preprocess.mean == Preprocess().mean[::-1]
    assert swapped.preprocess.std == Preprocess().std[::-1]


def test_the_well_known_settings_are_all_tried():
    tried = [c.preprocess for c in candidates(Preprocess(), "")]
    for known in (
        CAFFE,
        Preprocess(mean=(0, 0, 0), std=(1, 1, 1)),
        Preprocess(mean=(0.5,) * 3, std=(0.5,) * 3),
        Preprocess(scale=1.0, mean=(0, 0, 0), std=(1, 1, 1)),
        Preprocess(color=Color.BGR, mean=(0, 0, 0), std=(1, 1, 1)),
    ):
        assert known in tried
