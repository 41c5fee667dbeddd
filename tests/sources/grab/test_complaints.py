"""What NVIDIA's and GStreamer's elements print is told with its cause and what mends it."""

import pytest

from edgeresnet.sources.fault import SLOW
from edgeresnet.sources.grab.complaints import complaint, last_words
from edgeresnet.sources.gst import Options

OPTIONS = Options().model_dump()
NO_DAEMON = """\
(Argus) Error FileOperationFailed: Connecting to nvargus-daemon failed: Connection refused (in \
src/rpc/socket/client/SocketClientDispatch.cpp, function openSocketConnection(), line 205)
(Argus) Error FileOperationFailed: Cannot create camera provider (in src/rpc/socket/client/…)
Error generated. gstnvarguscamerasrc.cpp, execute:748 Failed to create CameraProvider
"""
NO_CAMERA = """\
Error generated. /dvs/git/dirty/git-master_linux/gstnvarguscamerasrc.cpp, execute:557 No cameras \
available
(Argus) Error EndOfFile: Unexpected error in reading socket (in ClientSocketManager.cpp)
(Argus) Error InvalidState: Argus client is exiting with 1 outstanding client threads
"""
OTHER_SENSOR = (
    "Error generated. gstnvarguscamerasrc.cpp, execute:751 Invalid camera device specified 3 "
    "specified, 1 max index\n"
)
TOO_FAST = """\
GST_ARGUS: Available Sensor modes :
GST_ARGUS: 3280 x 2464 FR = 21.000000 fps Duration = 47619048 ; Analog Gain range min 1.000000
GST_ARGUS: 1920 x 1080 FR = 29.999999 fps Duration = 33333334 ; Analog Gain range min 1.000000
ARGUS_ERROR: Error generated. gstnvarguscamerasrc.cpp, execute: 969 Frame Rate specified is \
greater than supported
ARGUS_ERROR: Error generated. gstnvarguscamerasrc.cpp, execute: 1231 InvalidState.
"""
TAKEN = "Error generated. gstnvarguscamerasrc.cpp, execute:736 Failed to create CaptureSession\n"
CODEC = (
    "WARNING: from element /GstPipeline:pipeline0/GstRTSPSrc:rtspsrc0: Delayed linking failed.\n"
)


@pytest.mark.parametrize(
    ("said", "reason", "what", "hint"),
    [
        (NO_DAEMON, "absent", "nvargus-daemon does not answer", "systemctl restart nvargus-daemon"),
        (NO_CAMERA, "not-found", "no CSI camera", "jetson-io.py"),
        (OTHER_SENSOR, "not-found", "no CSI camera 3, the last is 1", "csi://1"),
        (TOO_FAST, "invalid", "30 frames a second at 1280x720", "3280x2464 at 21, 1920x1080 at 30"),
        (TAKEN, "busy", "is taken", "nvargus-daemon"),
        ("ARGUS_ERROR: Argus Error Status\n", "error", "Argus Error Status", "journalctl"),
        (CODEC, "invalid", "Delayed linking failed", "template"),
    ],
    ids=["daemon", "none", "number", "rate", "taken", "other", "codec"],
)
def test_a_csi_cameras_trouble_is_told_by_its_cause(said, reason, what, hint):
    fault = complaint(f"Setting pipeline to PAUSED ...\n{said}", "csi", OPTIONS)
    assert fault is not None
    assert fault.reason == reason
    assert what in fault.what
    assert hint in fault.hint
    assert "\n" not in f"{fault.what}{fault.hint}"


def test_what_comes_back_by_itself_is_tried_again_soon():
    """A daemon is started again, a session ends; a sensor that is not there stays away."""
    slow = {said: complaint(said, "csi", OPTIONS).slow for said in (NO_DAEMON, TAKEN, NO_CAMERA)}
    assert slow == {NO_DAEMON: False, TAKEN: False, NO_CAMERA: True}
    assert "absent" not in SLOW


def test_loading_nvidias_elements_is_no_fault_of_another_camera():
    assert complaint(NO_DAEMON, "nv-v4l2-mjpeg", OPTIONS) is None


@pytest.mark.parametrize(
    ("said", "reason", "what"),
    [
        ("ERROR: … Cannot identify device '/dev/video7'.", "absent", "no /dev/video7"),
        ("ERROR: … Device '/dev/video0' is busy", "busy", "/dev/video0 is in use"),
        (
            "ERROR: … Could not open device '/dev/video0' for reading and writing.",
            "permission",
            "/dev/video0 may not be opened",
        ),
        ("streaming stopped, reason not-negotiated (-4)", "invalid", "not-negotiated"),
    ],
)
def test_a_v4l2_camera_has_its_own_words(said, reason, what):
    fault = complaint(said, "v4l2", OPTIONS)
    assert (fault.reason, what in fault.what) == (reason, True)
    assert fault.hint


@pytest.mark.parametrize(
    ("element", "brings"),
    [
        ("nvarguscamerasrc", "nvidia-l4t-gstreamer"),
        ("nvv4l2decoder", "registry"),
        ("libcamerasrc", "gstreamer1.0-libcamera"),
        ("h265parse", "plugins-bad"),
        ("videoconvert", "plugins-base"),
        ("jpegdec", "plugins-good"),
    ],
)
def test_an_element_that_is_not_there_is_named_with_what_brings_it(element, brings):
    fault = complaint(f'WARNING: erroneous pipeline: no element "{element}"', "v4l2", OPTIONS)
    assert element in fault.what
    assert brings in fault.hint


def test_words_without_a_meaning_for_us_are_no_fault():
    assert (
        complaint("Setting pipeline to PLAYING ...\nNew clock: GstSystemClock", "csi", {}) is None
    )


def test_the_last_words_are_the_error_not_what_follows_it():
    assert last_words("ERROR: it broke\nFreeing pipeline ...\n") == "ERROR: it broke"
    assert last_words("Freeing pipeline ...\n\n") == "Freeing pipeline ..."
    assert last_words("") == "it said nothing"
