import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeresnet.core.errors import UsageError
from edgeresnet.core.frames import Frame
from edgeresnet.core.region import RegionSpec
from edgeresnet.testing import grey

sides = st.integers(1, 4000)


@pytest.mark.parametrize(
    ("text", "size", "region"),
    [
        ("10,20,30,40", (100, 100), (10, 20, 30, 40)),
        ("10,20,300,400", (100, 100), (10, 20, 90, 80)),
        ("0.25,0.0,0.5,1.0", (640, 480), (160, 0, 320, 480)),
        (" 0., .5, 1., .5 ", (9, 9), (0, 4, 9, 5)),
        ("100,0,5,5", (100, 100), None),
        ("0,100,5,5", (100, 100), None),
    ],
)
def test_a_region_is_in_pixels_or_in_parts_of_the_frame(text, size, region):
    assert RegionSpec.of(text, "x").on(*size) == region


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("1,2,3", "four numbers"),
        ("a,b,c,d", "four numbers"),
        ("-1,0,5,5", "four numbers"),
        ("1e3,0,5,5", "four numbers"),
        ("0,0,0,5", "no area"),
        ("0.5,0,1,1", "mixes"),
        ("0.5,0.0,0.6,1.0", "leaves the frame"),
        ("", "four numbers"),
    ],
)
def test_what_is_no_region_is_refused(text, what):
    with pytest.raises(UsageError, match=what) as caught:
        RegionSpec.of(text, "source camera://")
    assert "roi=" in caught.value.hint


@given(
    left=st.floats(0, 1), top=st.floats(0, 1), part=st.floats(0.001, 1), width=sides, height=sides
)
def test_a_part_of_any_frame_lies_inside_it(left, top, part, width, height):
    size = min(part, 1 - left), min(part, 1 - top)
    spec = RegionSpec(left, top, *size, parts=True)
    found = spec.on(width, height)
    if found is not None:
        frame = Frame(np.broadcast_to(np.uint8(0), (height, width, 3)), 0, 0, region=found)
        assert frame.looked_at.size > 0
    else:
        assert min(size) == 0 or left == 1 or top == 1


def test_what_is_looked_at_is_a_view_of_the_region():
    pixels = grey(0, (40, 60))
    frame = Frame(pixels, 0, 0, region=(10, 5, 20, 30))
    assert frame.looked_at.shape == (30, 20, 3)
    frame.looked_at[:] = 9
    assert pixels[5:35, 10:30].min() == 9
    assert pixels.sum() == 9 * 30 * 20 * 3


@pytest.mark.parametrize("region", [(0, 0, 61, 1), (-1, 0, 2, 2), (0, 0, 0, 5), (59, 39, 1, 2)])
def test_a_frame_whose_region_lies_outside_cannot_be_made(region):
    with pytest.raises(ValueError, match="region"):
        Frame(grey(0, (40, 60)), 0, 0, region=region)


def test_without_its_pixels_a_frame_keeps_its_facts_and_takes_no_memory():
    frame = Frame(grey(7, (40, 60)), 3, 5, "cam", region=(0, 0, 2, 2)).without_pixels()
    assert (frame.width, frame.height, frame.index, frame.source) == (60, 40, 3, "cam")
    assert frame.pixels.strides == (0, 0, 0)
