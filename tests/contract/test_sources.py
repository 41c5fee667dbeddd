"""What every source owes to those who read from it."""

import threading
import time
from itertools import islice, pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeresnet.core.frames import Frame
from edgeresnet.core.predictions import Classification, Label
from edgeresnet.sinks import open_sink
from edgeresnet.sources import SCHEMES, open_source

COUNT = 5
LABEL = Classification((Label(0, "x", 1.0),))


@pytest.fixture(params=["pictures", "video", "synthetic", "synthetic-live"])
def uri(request, tmp_path):
    """One URI for every kind of source, of at least ``COUNT`` frames."""
    if request.param == "pictures":
        for i in range(COUNT):
            cv2.imwrite(str(tmp_path / f"{i}.png"), np.full((6, 8, 3), i, np.uint8))
        return f"file://{tmp_path}?loop=1"
    if request.param == "video":
        with open_sink(f"video:{tmp_path}/clip.mp4", model="", fps=25) as sink:
            for i in range(COUNT):
                sink.put(Frame(np.full((48, 64, 3), i, np.uint8), i, 0, "x"), LABEL)
        return f"file://{tmp_path}/clip.mp4?loop=1"
    return f"synthetic://8x6?count=0{'&fps=500' if request.param == 'synthetic-live' else ''}"


def take(source, count=COUNT):
    return list(islice(source, count))


def test_every_scheme_is_held_to_this_contract():
    captured = {"camera", "csi", "gst", "http", "https", "rtsp", "rtsps"}  # tests/sources/live
    assert set(SCHEMES) == {"file", "synthetic"} | captured


def test_frames_are_numbered_from_zero_without_a_gap(uri):
    with open_source(uri) as source:
        assert [frame.index for frame in take(source, 2 * COUNT)] == list(range(2 * COUNT))


def test_frames_are_contiguous_bgr_bytes_that_nobody_else_writes_to(uri):
    with open_source(uri) as source:
        frames = take(source)
    for frame in frames:
        assert frame.pixels.dtype == np.uint8
        assert frame.pixels.ndim == 3
        assert frame.pixels.shape[2] == 3
        assert frame.pixels.flags.c_contiguous
        assert frame.pixels.flags.writeable
    for before, after in pairwise(frames):
        assert not np.shares_memory(before.pixels, after.pixels)


def test_the_time_of_capture_is_of_the_monotonic_clock_and_never_runs_back(uri):
    begin = time.monotonic_ns()
    with open_source(uri) as source:
        times = [frame.captured_ns for frame in take(source)]
    assert times == sorted(times)
    assert begin <= times[0] <= times[-1] <= time.monotonic_ns()


def test_frames_carry_the_name_of_their_source(uri):
    with open_source(uri, index=3) as source:
        assert {frame.source for frame in take(source)} == {source.name}


def test_a_source_says_whether_it_is_live_how_fast_it_is_and_what_it_lost(uri):
    with open_source(uri) as source:
        assert isinstance(source.live, bool)
        assert source.fps is None or source.fps > 0
        take(source)
        assert source.dropped == {}


def test_stop_ends_an_endless_source_after_the_frame_it_is_at(uri):
    stop = threading.Event()
    with open_source(uri, stop=stop) as source:
        frames = iter(source)
        next(frames)
        stop.set()
        assert list(frames) == []


def test_stop_from_another_thread_ends_it(uri):
    stop = threading.Event()
    with open_source(uri, stop=stop) as source:
        frames = iter(source)
        next(frames)
        threading.Thread(target=stop.set).start()
        for _ in frames:
            pass


def test_leaving_the_context_gives_back_what_was_opened(uri):
    def held():
        return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()

    with open_source(uri) as source:
        take(source)
    before = held()
    for _ in range(3):
        with open_source(uri) as source:
            take(source)
    assert held() == before


def test_a_second_look_begins_anew(uri):
    with open_source(uri) as source:
        assert [frame.index for frame in take(source)] == [frame.index for frame in take(source)]
