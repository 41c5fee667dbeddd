import time
from contextlib import suppress

import cv2
import numpy as np
import pytest

from edgeresnet.core.errors import UsageError
from edgeresnet.sources import open_source
from edgeresnet.sources.fault import Fault
from edgeresnet.sources.grab import Opened, Order, Said, v4l2
from edgeresnet.sources.shots import Lost, Shot

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
    monkeypatch.setattr(v4l2, "DEVICES", tmp_path / "dev")
    monkeypatch.setattr(v4l2, "NAMES", tmp_path / "sys")
    return tmp_path


@pytest.fixture
def plug(devices, monkeypatch):
    """Connect a fake camera as number 0."""

    def connect(pictures=(), **more):
        (devices / "dev/video0").touch()
        capture = FakeCapture(pictures, **more)
        monkeypatch.setattr(v4l2, "open_capture", lambda _device: capture)
        return capture

    return connect


@pytest.fixture
def grab(devices):
    """What connecting to a camera gives, until it ends or fails."""

    def connect(number=0, **options):
        return v4l2.connect(Order("v4l2", str(devices / f"dev/video{number}"), options))

    return connect


def grabbed(shots, kind=Shot):
    """Those of one kind, of a camera that stops in the end."""
    found = []
    with suppress(Fault):
        for shot in shots:
            found.append(shot)  # noqa: PERF402  what came before the fault counts
    return [shot for shot in found if isinstance(shot, kind)]


def pictures(count, *shape):
    return [np.full(shape or (4, 6, 3), value, np.uint8) for value in range(count)]


def test_a_camera_gives_its_rate_then_its_pictures_in_order(plug, grab):
    plug(pictures(3))
    shots = grab()
    assert next(shots) == Opened(30)
    assert [shot.pixels[0, 0, 0] for shot in grabbed(shots)] == [0, 1, 2]


def test_a_camera_is_live_and_called_by_its_number():
    with open_source("camera://7") as source:
        assert (source.live, source.name, source.health().state) == (True, "camera-7", "connecting")


def test_leaving_releases_the_camera(plug, grab):
    capture = plug(pictures(1))
    shots = grab()
    next(shots)
    assert capture.released == 0
    shots.close()
    assert capture.released == 1


def test_a_camera_that_does_not_open_is_released_and_named(plug, grab):
    capture = plug(opened=False)
    with pytest.raises(Fault, match=r"video0 gives no pictures.*fuser") as caught:
        next(grab())
    assert caught.value.reason == "busy"
    assert capture.released == 1


def test_who_holds_the_camera_is_named(plug, grab, tmp_path, monkeypatch, devices):
    plug(opened=False)
    (tmp_path / "proc/4711/fd").mkdir(parents=True)
    (tmp_path / "proc/4711/fd/3").symlink_to(devices / "dev/video0")
    monkeypatch.setattr(v4l2, "PROCESSES", tmp_path / "proc")
    with pytest.raises(Fault, match="process 4711 has it open"):
        next(grab())


def test_a_camera_is_looked_up_anew_on_each_attempt(plug, devices, monkeypatch):
    plug(pictures(1))
    seen = []
    (devices / "dev/by-id").symlink_to(devices / "dev/video0")
    monkeypatch.setattr(
        v4l2, "open_capture", lambda device: seen.append(device.name) or FakeCapture(pictures(1))
    )
    order = Order("v4l2", str(devices / "dev/by-id"))
    grabbed(v4l2.connect(order))
    (devices / "dev/by-id").unlink()
    with pytest.raises(Fault) as caught:
        next(v4l2.connect(order))
    assert caught.value.reason == "absent"
    (devices / "dev/video3").touch()
    (devices / "dev/by-id").symlink_to(devices / "dev/video3")
    grabbed(v4l2.connect(order))
    assert seen == ["video0", "video3"]


def test_damaged_pictures_are_lost_and_named_once(plug, grab):
    plug([*pictures(1), None, None, *pictures(1), None, *pictures(1)])
    lost = grabbed(grab(), Lost)
    assert [shot.reason for shot in lost] == ["corrupt"] * 3
    assert [bool(shot.what) for shot in lost] == [True, False, False]


def test_a_camera_that_gives_only_damaged_pictures_is_broken(plug, grab):
    plug([None] * 1000)
    assert len(grabbed(grab(), Lost)) == 100


def test_grey_pictures_become_bgr(plug, grab):
    plug(pictures(1, 4, 6))
    assert grabbed(grab())[0].pixels.shape == (4, 6, 3)


def test_options_reach_the_camera_the_format_first_and_the_buffer_is_one(plug, grab):
    capture = plug()
    next(grab(width=1280, height=720, fps=60.0, fourcc="MJPG"))
    assert list(capture.values.items())[1:] == [
        (cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG")),
        (cv2.CAP_PROP_FRAME_WIDTH, 1280),
        (cv2.CAP_PROP_FRAME_HEIGHT, 720),
        (cv2.CAP_PROP_BUFFERSIZE, 1),
    ]
    assert capture.values[cv2.CAP_PROP_FPS] == 60


def test_a_camera_that_chooses_another_size_is_told_on(plug, grab):
    capture = plug(stubborn=[cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FOURCC])
    capture.values[cv2.CAP_PROP_FRAME_WIDTH] = 640
    capture.values[cv2.CAP_PROP_FOURCC] = cv2.VideoWriter.fourcc(*"YUYV")
    said = grabbed(grab(width=1280, fourcc="MJPG"), Said)
    assert [one.what.partition(": ")[2] for one in said] == [
        "fourcc=MJPG was asked for, the camera gives YUYV",
        "width=1280 was asked for, the camera gives 640",
    ]


def test_the_time_stamp_of_the_driver_is_taken_when_it_is_of_our_clock(plug, grab):
    capture = plug(pictures(1))
    before = time.monotonic_ns() - 5_000_000
    capture.values[cv2.CAP_PROP_POS_MSEC] = before / 1e6
    assert grabbed(grab())[0].captured_ns == pytest.approx(before, abs=1000)


@pytest.mark.parametrize("stamp_ms", [0, -1, 1e15])
def test_a_time_stamp_of_another_clock_is_not_taken(plug, grab, stamp_ms):
    capture = plug(pictures(1))
    capture.values[cv2.CAP_PROP_POS_MSEC] = stamp_ms
    before = time.monotonic_ns()
    assert before <= grabbed(grab())[0].captured_ns <= time.monotonic_ns()


def test_a_camera_that_is_not_there_is_named_with_those_that_are(devices, grab):
    for number, title in (("0", "HD Webcam\n"), ("10", "Capture Card\n"), ("2", None)):
        (devices / f"dev/video{number}").touch()
        if title:
            (devices / f"sys/video{number}").mkdir()
            (devices / f"sys/video{number}/name").write_text(title)
    with pytest.raises(Fault, match=r"no camera at .*video7") as caught:
        next(grab(7))
    dev = devices / "dev"
    assert caught.value.hint == (
        f"cameras here: {dev}/video0 (HD Webcam), {dev}/video2, {dev}/video10 (Capture Card)"
    )


def test_a_machine_without_cameras_says_so(grab):
    with pytest.raises(Fault) as caught:
        next(grab())
    assert HINT_NONE in caught.value.hint


def test_no_permission_says_which_group_helps(plug, grab, monkeypatch):
    plug()
    monkeypatch.setattr(v4l2.os, "access", lambda *_: False)
    with pytest.raises(Fault, match="no permission") as caught:
        next(grab())
    assert caught.value.slow
    assert "usermod -aG video" in caught.value.hint


@pytest.mark.parametrize("place", ["front", "", "0/1"])
def test_a_place_that_is_no_camera_is_refused(place):
    with pytest.raises(UsageError, match="no such camera"):
        open_source(f"camera://{place}")


def test_opencv_says_nothing_when_it_cannot_open(devices, grab, capfd):
    (devices / "dev/video0").touch()
    with pytest.raises(Fault):
        next(grab())
    assert capfd.readouterr() == ("", "")
