import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeresnet.core.errors import UsageError
from edgeresnet.sources import open_source
from edgeresnet.sources.fault import Fault
from edgeresnet.sources.grab import Opened, Order, gst
from edgeresnet.sources.gst import Options

OPTIONS = Options().model_dump()
needs_gst = pytest.mark.skipif(
    shutil.which(gst.LAUNCH) is None, reason="gst-launch-1.0 is not installed"
)


@pytest.mark.parametrize("name", gst.TEMPLATES)
def test_every_template_is_filled_and_ends_in_pixels_where_they_are_wanted(name):
    url = {"url": "rtsp://cam/x"}
    words = gst.pipeline(name, {**OPTIONS, **url, "sensor": 3, "fps": 25}, 7)
    assert not any("{" in word for word in words)
    assert words[-3:] == ["!", "fdsink", "fd=7"]
    assert words[-4] == "video/x-raw,format=BGRx,width=1280,height=720"


def test_a_csi_camera_is_read_by_its_sensor_number():
    words = gst.pipeline("csi", {**OPTIONS, "sensor": 1}, 7)
    assert words[:2] == ["nvarguscamerasrc", "sensor-id=1"]
    with open_source("csi://1?width=640&height=480&fps=60") as source:
        assert (source.name, source.fps) == ("csi-1", 60)


@given(text=st.text(min_size=1, max_size=30))
def test_nothing_of_a_uri_gets_into_a_pipeline_but_names_of_devices_and_plain_urls(text):
    for key, safe in (("device", "/dev/x"), ("url", "rtsp://h/x")):
        try:
            value = Options(**{key: f"{safe}{text}"}).model_dump()[key]
        except ValueError:
            continue
        assert not set(value) & set(" !\t\n\"'\\;|$`")


@pytest.mark.parametrize(
    ("uri", "what"),
    [
        ("gst://nonsense", "no template 'nonsense'"),
        ("gst://tset", "no template 'tset'"),
        ("gst://nv-rtsp-h264", "no url"),
        ("gst://nv-rtsp-h264?url=rtsp://u:geheim@h/x", "password would show"),
        ("gst://test?width=0", "width"),
        ("gst://v4l2?device=/etc/passwd", "device"),
        ("csi://front", "no template"),
    ],
)
def test_what_is_no_template_or_would_show_a_password_is_refused(uri, what):
    with pytest.raises(UsageError, match=what) as caught:
        open_source(uri)
    assert "geheim" not in str(caught.value)


def test_a_machine_without_gstreamer_says_what_to_install(monkeypatch):
    monkeypatch.setattr(gst.shutil, "which", lambda _name: None)
    with pytest.raises(Fault, match="not installed") as caught:
        next(gst.connect(Order("gst", "test", OPTIONS)))
    assert "apt install" in caught.value.hint
    assert caught.value.slow


@needs_gst
def test_frames_come_in_their_size_and_colours():
    options = {**OPTIONS, "width": 322, "height": 242, "fps": 30}
    shots = gst.connect(Order("gst", "test", options))
    assert next(shots) == Opened(30)
    pixels = next(shots).pixels
    shots.close()
    assert pixels.shape == (242, 322, 3)
    bars = pixels[40, [20, 65, 110, 157, 203, 250, 300]]  # SMPTE's: white, yellow, cyan, …
    expected = ["bgr", "gr", "bg", "g", "br", "r", "b"]
    found = ["".join(c for c, value in zip("bgr", bar, strict=True) if value > 100) for bar in bars]
    assert found == expected


@needs_gst
def test_what_elements_print_is_no_pixel(tmp_path, monkeypatch):
    """NVIDIA's camera source prints to its standard output."""
    chatty = tmp_path / "gst"
    chatty.write_text(f'#!/bin/sh\necho "GST_ARGUS: hello"\nexec {shutil.which(gst.LAUNCH)} "$@"\n')
    chatty.chmod(0o755)
    monkeypatch.setattr(gst.shutil, "which", lambda _name: str(chatty))
    shots = gst.connect(Order("gst", "test", {**OPTIONS, "width": 64, "height": 48}))
    next(shots)
    pixels = next(shots).pixels
    shots.close()
    assert pixels[0, 0].min() > 100  # the first bar is white


def test_a_rate_is_told_where_it_was_asked_for():
    assert gst.rate("csi", OPTIONS) == 30
    assert gst.rate("v4l2", OPTIONS) is None


@needs_gst
def test_a_pipeline_that_cannot_run_says_why():
    with pytest.raises(Fault, match="no element nvarguscamerasrc") as caught:
        list(gst.connect(Order("gst", "csi", OPTIONS)))
    assert caught.value.reason == "invalid"
    assert "nvidia-l4t-gstreamer" in caught.value.hint


def test_sides_that_a_format_does_not_have_are_rounded_up_and_scaled_to_the_wanted_ones():
    odd = {**OPTIONS, "width": 639, "height": 361}
    csi = gst.pipeline("csi", odd, 7)
    assert "video/x-raw(memory:NVMM),format=NV12,width=640,height=362,framerate=30/1" in csi
    assert csi[-4] == "video/x-raw,format=BGRx,width=639,height=361"
    libcamera = gst.pipeline("libcamera", odd, 7)
    assert "video/x-raw,width=640,height=361" in libcamera
    even = gst.pipeline("libcamera", {**OPTIONS, "width": 640}, 7)
    assert "video/x-raw,width=640,height=720" in even


@needs_gst
@pytest.mark.parametrize("width", [1, 321, 323, 641])
def test_rows_are_not_padded_whatever_the_width(width):
    """The last column of the bars' lower right is black; a padded row would shift the picture."""
    shots = gst.connect(Order("gst", "test", {**OPTIONS, "width": width, "height": 48}))
    next(shots)
    first, second = next(shots).pixels, next(shots).pixels
    shots.close()
    for pixels in (first, second):
        assert pixels.shape == (48, width, 3)
        rows = pixels[2:28].astype(int)  # the seven bars: all rows are the same
        assert abs(rows - rows[0]).max() <= 2


@pytest.fixture
def pretend(tmp_path, monkeypatch):
    """Puts a script in the place of gst-launch-1.0; it may write frames to ``$FD``."""

    def make(body):
        program = tmp_path / "gst"
        script = "for word; do case $word in fd=*) FD=${word#fd=};; esac; done"
        program.write_text(f"#!/bin/bash\n{script}\n{body}\n")
        program.chmod(0o755)
        monkeypatch.setattr(gst.shutil, "which", lambda _name: str(program))

    return make


def test_an_element_that_says_what_is_wrong_and_hangs_is_not_waited_for(pretend):
    pretend(
        'echo "Error generated. gstnvarguscamerasrc.cpp, execute:751 No cameras available"; '
        "sleep 60"
    )
    shots = gst.connect(Order("gst", "csi", OPTIONS))
    assert next(shots) == Opened(30)
    with pytest.raises(Fault, match="no CSI camera was found"):
        next(shots)


def test_what_was_said_before_the_first_frame_does_not_end_a_stream_that_works(pretend):
    pretend(
        'echo "ARGUS_ERROR: Argus Error Status" >&2; head -c 48 /dev/zero >&$FD; sleep 1.2; '
        "head -c 48 /dev/zero >&$FD; sleep 60"
    )
    shots = gst.connect(Order("gst", "csi", {**OPTIONS, "width": 4, "height": 3}))
    next(shots)
    assert [next(shots).pixels.shape for _ in range(2)] == [(3, 4, 3)] * 2
    shots.close()


def test_no_display_is_asked(pretend, monkeypatch):
    """With the display of ssh -X, NVIDIA's elements find no EGL."""
    monkeypatch.setenv("DISPLAY", "localhost:10.0")
    pretend('echo "ERROR: display=$DISPLAY."')
    with pytest.raises(Fault, match=r"display=\."):
        list(gst.connect(Order("gst", "csi", OPTIONS)))
