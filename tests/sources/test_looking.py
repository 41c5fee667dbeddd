import pytest

from edgeresnet.core.errors import UsageError
from edgeresnet.sources import open_source


def test_frames_carry_the_region_that_was_asked_for():
    with open_source("synthetic://64x48?count=3&roi=8,4,16,20&as=door") as source:
        frames = list(source)
        assert source.name == "door"
        assert source.dropped == {}
    assert [frame.region for frame in frames] == [(8, 4, 16, 20)] * 3
    assert {frame.source for frame in frames} == {"door"}
    assert frames[0].pixels.shape == (48, 64, 3)  # the picture stays whole
    assert frames[0].looked_at.shape == (20, 16, 3)


@pytest.mark.parametrize("uri", ["synthetic://64x48?count=4", "synthetic://64x48?count=4&fps=900"])
def test_a_region_outside_of_the_picture_gives_no_frames_and_counts_them(uri, caplog):
    with open_source(f"{uri}&roi=100,0,5,5") as source:
        assert list(source) == []
        assert source.dropped == {"region": 4}
    assert "outside of the picture (64x48)" in caplog.text
    assert len(caplog.records) == 1


def test_a_live_source_with_a_region_still_tells_its_health():
    with open_source("synthetic://64x48?fps=500&count=2&roi=0.0,0.5,1.0,0.5") as source:
        assert source.live
        assert source.health().state == "connecting"
        assert [frame.region for frame in source] == [(0, 24, 64, 24)] * 2
        assert source.health().state == "ended"


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ("roi=1,2,3", "four numbers"),
        ("as=a%20b", "make a name"),
        ("as=" + 65 * "x", "make a name"),
        ("stall=-1", "stall"),
        ("stall=soon", "stall"),
        ("auth=env:X", "auth is for"),
    ],
)
def test_a_wrong_option_of_every_source_is_refused(options, what):
    with pytest.raises(UsageError, match=what):
        open_source(f"synthetic://8x8?{options}")
