"""Whatever GStreamer can capture, from a ``gst-launch-1.0 … ! fdsink`` child.

pip's OpenCV has no GStreamer. The pipelines are a fixed set: nothing of a URI but numbers and
the name of a device file gets into one, and no shell is involved.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from select import select
from tempfile import TemporaryFile
from typing import IO, Any

import cv2
import numpy as np

from edgeresnet.sources.fault import Fault
from edgeresnet.sources.grab import Grabbed, Opened, Order
from edgeresnet.sources.grab.complaints import complaint, last_words
from edgeresnet.sources.shots import Shot

LAUNCH = "gst-launch-1.0"
_RAW = "video/x-raw,format=BGRx,width={width},height={height}"
_SCALED = f"videoconvert ! videoscale ! {_RAW}"
_NVMM = "video/x-raw(memory:NVMM),format=NV12,width={even_width},height={even_height}"
_RTSP = "rtspsrc location={url} protocols=tcp latency=100"
TEMPLATES = {
    "test": f"videotestsrc is-live=true ! video/x-raw,framerate={{fps}}/1 ! {_SCALED}",
    "v4l2": f"v4l2src device={{device}} ! {_SCALED}",
    "v4l2-mjpeg": "v4l2src device={device} ! image/jpeg,width={width},height={height} ! "
    f"jpegdec ! {_SCALED}",
    "libcamera": f"libcamerasrc ! video/x-raw,width={{wide}},height={{height}} ! {_SCALED}",
    "csi": f"nvarguscamerasrc sensor-id={{sensor}} ! {_NVMM},framerate={{fps}}/1 ! "
    f"nvvidconv ! {_RAW}",
    "nv-v4l2-mjpeg": "v4l2src device={device} io-mode=2 ! "
    f"image/jpeg,width={{width}},height={{height}} ! nvv4l2decoder mjpeg=1 ! nvvidconv ! {_RAW}",
    "nv-rtsp-h264": f"{_RTSP} ! rtph264depay ! h264parse ! nvv4l2decoder ! nvvidconv ! {_RAW}",
    "nv-rtsp-h265": f"{_RTSP} ! rtph265depay ! h265parse ! nvv4l2decoder ! nvvidconv ! {_RAW}",
}
"""Name, as in ``gst://NAME``, to the pipeline; every one ends in BGRx pixels, whose rows of four
bytes a pixel GStreamer never pads. NV12 has even sides only, and libcamera pads rows to 64 bytes
that it gives away as they are: what follows scales to the size that was asked for."""
_SAID, _MOST_SAID = 16 << 10, 1 << 20
_LOOK_S = 0.5
_LETS_GO_S = 1.0
_UNWANTED = ("DISPLAY", "WAYLAND_DISPLAY")
"""NVIDIA's elements ask a display that they do not need, and fail with the one of ``ssh -X``."""


def pipeline(name: str, options: Mapping[str, Any], descriptor: int) -> list[str]:
    """The arguments of ``gst-launch-1.0``: each element and each of its properties is one."""
    words = f"{TEMPLATES[name]} ! fdsink fd={descriptor}".split()
    width, height = int(options["width"]), int(options["height"])
    sizes = {
        "even_width": width + width % 2,
        "even_height": height + height % 2,
        "wide": -(-width // 16) * 16,
    }
    return [part.format(**options, **sizes) for part in words]


def rate(name: str, options: Mapping[str, Any]) -> float | None:
    """Frames a second, where the template asks for a rate."""
    return float(options["fps"]) if "{fps}" in TEMPLATES[name] else None


def connect(order: Order) -> Grabbed:
    """``place`` names a template, ``options`` fills it."""
    launch = shutil.which(LAUNCH)
    if launch is None:
        raise Fault("invalid", f"{LAUNCH} is not installed", hint="apt install gstreamer1.0-tools")
    height, width = int(order.options["height"]), int(order.options["width"])
    ours, theirs = os.pipe()  # not its standard output: NVIDIA's elements print there
    with TemporaryFile("a+b") as said, os.fdopen(ours, "rb", buffering=0) as pixels:
        try:
            process = subprocess.Popen(  # noqa: S603  a fixed template
                [launch, "-q", *pipeline(order.place, order.options, theirs)],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                pass_fds=(theirs,),
                restore_signals=False,  # a broken pipe ends it in order, not at once
                env={
                    **{key: value for key, value in os.environ.items() if key not in _UNWANTED},
                    "GST_DEBUG_NO_COLOR": "1",
                },
            )
        finally:
            os.close(theirs)
        try:
            yield Opened(rate(order.place, order.options))
            for shot in _frames(pixels, height, width, lambda: _look(said, order)):
                yield shot
                if os.fstat(said.fileno()).st_size > _MOST_SAID:
                    said.truncate(0)  # a warning for each bad picture, for months
            process.wait()
            _look(said, order)
            raise Fault("closed", f"GStreamer ended: {last_words(_heard(said))}")
        finally:
            _let_go(process, pixels)


def _let_go(process: subprocess.Popen[bytes], pixels: IO[bytes]) -> None:
    """End it in order, so that it closes the camera: a daemon behind one may hang otherwise."""
    pixels.close()  # it may wait to write
    process.send_signal(signal.SIGINT)
    try:
        process.wait(_LETS_GO_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _frames(
    pipe: IO[bytes], height: int, width: int, waiting: Callable[[], None]
) -> Iterator[Shot]:
    """Whole frames; ``waiting`` is called now and then until the first comes."""
    raw = np.empty((height, width, 4), np.uint8)
    whole = memoryview(raw.reshape(-1).data)
    while not select([pipe], [], [], _LOOK_S)[0]:
        waiting()
    while True:
        filled = 0
        while filled < len(whole):
            got = pipe.readinto(whole[filled:])  # type: ignore[attr-defined]
            if not got:
                return
            filled += got
        captured_ns = time.monotonic_ns()
        yield Shot(cv2.cvtColor(raw, cv2.COLOR_BGRA2BGR), captured_ns=captured_ns)  # type: ignore[arg-type]


def _look(said: IO[bytes], order: Order) -> None:
    """Raise what it complains of: NVIDIA's camera source says what is wrong, and then hangs."""
    if fault := complaint(_heard(said), order.place, order.options):
        raise fault


def _heard(said: IO[bytes]) -> str:
    size = os.fstat(said.fileno()).st_size
    return os.pread(said.fileno(), _SAID, max(0, size - _SAID)).decode("utf-8", "replace")
