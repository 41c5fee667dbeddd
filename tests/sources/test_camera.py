import threading
import time
from itertools import islice

import cv2
import numpy as np
import pytest

from edgeresnet.core.errors import DeviceError, UsageError
from edgeresnet.sources import camera, open_source

HINT_NONE = "no camera is connected"


class FakeCapture:
    """A camera with a list of pictures; None in it is one that cannot be decoded."""

    def __init__(self, pictures, *, opened=True, stubborn=()):
        self.pictures, self.opened, self.stubborn = list(pictures), opened, stubborn
        self.values, self.released, self.picture = {cv2.CAP_PROP_FPS: 30.0}, 0, None

    def isOpened(self):  # noqa: N802
        return self.opened

    def set(self, key, value):
        if key not in self.stubborn:
            self.values[key] = value
        return True

    def get(self, key):
        return self.values.get(key, 0.0)

    def grab(self):
        if not self.pictures:
            return False
        self.picture = self.pictures.pop(0)
        return True

    def retrieve(self):
        return self.picture is not None, self.picture

    def release(self):
        self.released += 1


@pytest.fixture
def devices(tmp_path, monkeypatch):
    """A machine without cameras: fill ``dev`` and ``sys`` to give it some."""
    for name in ("dev", "sys"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(camera, "DEVICES", tmp_path / "dev")
    monkeypatch.setattr(camera, "NAMES", tmp_path / "sys")
    return tmp_path


@pytest.fixture
def plug(devices, monkeypatch):
    """Connect a fake camera as number 0."""

    def connect(pictures=(), **more):
        (devices / "dev/video0").touch()
        capture = FakeCapture(pictures, **more)
        monkeypatch.setattr(camera, "open_capture", lambda _device: capture)
        return capture

    return connect


def pictures(count, *shape):
    return [np.full(shape or (4, 6, 3), value, np.uint8) for value in range(count)]


def test_a_camera_is_live_and_gives_its_pictures_in_order(plug):
    plug(pictures(3))
    with open_source("camera://0") as source:
        assert (source.live, source.fps, source.name) == (True, 30, "camera-0")
        frames = list(islice(source, 3))
    assert [frame.pixels[0, 0, 0] for frame in frames] == [0, 1, 2]
    assert [frame.source for frame in frames] == ["camera-0"] * 3


def test_leaving_releases_the_camera(plug):
    capture = plug(pictures(1))
    with open_source("0"):
        assert capture.released == 0
    assert capture.released == 1


def test_a_camera_that_does_not_open_is_released_and_named(plug, devices):
    capture = plug(opened=False)
    with pytest.raises(DeviceError, match="video0 gives no pictures") as caught:
        open_source("0").__enter__()
    assert "fuser" in caught.value.hint
    assert capture.released == 1


def test_a_camera_that_stops_is_a_device_error_after_its_last_frame(plug):
    plug(pictures(2))
    with open_source("0") as source:
        frames = iter(source)
        assert [next(frames).index, next(frames).index] == [0, 1]
        with pytest.raises(DeviceError, match="video0 stopped giving pictures"):
            next(frames)


def test_damaged_pictures_are_counted_and_named_once(plug, caplog):
    plug([*pictures(1), None, None, *pictures(1), None, *pictures(1)])
    with open_source("0") as source:
        frames = list(islice(source, 3))
    assert [frame.index for frame in frames] == [0, 3, 5]
    assert source.dropped == {"corrupt": 3}
    assert len(caplog.records) == 1


def test_a_camera_that_gives_only_damaged_pictures_is_broken(plug):
    plug([None] * 1000)
    with open_source("0") as source, pytest.raises(DeviceError, match="stopped giving"):
        list(source)
    assert source.dropped == {"corrupt": 100}


def test_grey_pictures_become_bgr(plug):
    plug(pictures(1, 4, 6))
    with open_source("0") as source:
        assert next(iter(source)).pixels.shape == (4, 6, 3)


def test_options_reach_the_camera_the_format_first_and_the_buffer_is_one(plug):
    capture = plug()
    with open_source("0?width=1280&height=720&fps=60&fourcc=MJPG"):
        pass
    assert list(capture.values.items())[1:] == [
        (cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG")),
        (cv2.CAP_PROP_FRAME_WIDTH, 1280),
        (cv2.CAP_PROP_FRAME_HEIGHT, 720),
        (cv2.CAP_PROP_BUFFERSIZE, 1),
    ]
    assert capture.values[cv2.CAP_PROP_FPS] == 60


def test_a_camera_that_chooses_another_size_is_told_on(plug, caplog):
    capture = plug(stubborn=[cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FOURCC])
    capture.values[cv2.CAP_PROP_FRAME_WIDTH] = 640
    capture.values[cv2.CAP_PROP_FOURCC] = cv2.VideoWriter.fourcc(*"YUYV")
    with open_source("0?width=1280&fourcc=MJPG"):
        pass
    assert [record.getMessage() for record in caplog.records] == [
        "camera-0: fourcc=MJPG was asked for, the camera gives YUYV",
        "camera-0: width=1280 was asked for, the camera gives 640",
    ]


def test_the_time_stamp_of_the_driver_is_taken_when_it_is_of_our_clock(plug):
    capture = plug(pictures(1))
    before = time.monotonic_ns() - 5_000_000
    capture.values[cv2.CAP_PROP_POS_MSEC] = before / 1e6
    with open_source("0") as source:
        assert next(iter(source)).captured_ns == pytest.approx(before, abs=1000)


@pytest.mark.parametrize("stamp_ms", [0, -1, 1e15])
def test_a_time_stamp_of_another_clock_is_not_taken(plug, stamp_ms):
    capture = plug(pictures(1))
    capture.values[cv2.CAP_PROP_POS_MSEC] = stamp_ms
    before = time.monotonic_ns()
    with open_source("0") as source:
        assert before <= next(iter(source)).captured_ns <= time.monotonic_ns()


def test_a_camera_that_is_not_there_is_named_with_those_that_are(devices):
    for number, title in (("0", "HD Webcam\n"), ("10", "Capture Card\n"), ("2", None)):
        (devices / f"dev/video{number}").touch()
        if title:
            (devices / f"sys/video{number}").mkdir()
            (devices / f"sys/video{number}/name").write_text(title)
    with pytest.raises(DeviceError, match=r"no camera at .*video7") as caught:
        open_source("camera://7").__enter__()
    dev = devices / "dev"
    assert caught.value.hint == (
        f"cameras here: {dev}/video0 (HD Webcam), {dev}/video2, {dev}/video10 (Capture Card)"
    )


@pytest.mark.usefixtures("devices")
def test_a_machine_without_cameras_says_so():
    with pytest.raises(DeviceError) as caught:
        open_source("0").__enter__()
    assert HINT_NONE in caught.value.hint


def test_no_permission_says_which_group_helps(plug, monkeypatch):
    plug()
    monkeypatch.setattr(camera.os, "access", lambda *_: False)
    with pytest.raises(DeviceError, match="no permission") as caught:
        open_source("0").__enter__()
    assert "usermod -aG video" in caught.value.hint


@pytest.mark.usefixtures("devices")
@pytest.mark.parametrize("place", ["front", "", "0/1"])
def test_a_place_that_is_no_camera_is_refused(place):
    with pytest.raises(UsageError, match="no such camera"):
        open_source(f"camera://{place}")


def test_opencv_says_nothing_when_it_cannot_open(tmp_path, capfd):
    (tmp_path / "video0").touch()
    with pytest.raises(DeviceError), open_source(f"camera://{tmp_path}/video0"):
        pass
    assert capfd.readouterr() == ("", "")


def test_stop_ends_a_camera_between_frames(plug):
    plug(pictures(9))
    stop = threading.Event()
    with open_source("0", stop=stop) as source:
        frames = iter(source)
        next(frames)
        stop.set()
        assert list(frames) == []
