"""Whatever GStreamer can capture, from a ``gst-launch-1.0 … ! fdsink`` child.

pip's OpenCV has no GStreamer. The pipelines are a fixed set: nothing of a URI but numbers and
the name of a device file gets into one, and no shell is involved.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from tempfile import TemporaryFile
from typing import IO, Any

import cv2
import numpy as np

from edgeresnet.sources.fault import Fault
from edgeresnet.sources.grab import Grabbed, Opened, Order
from edgeresnet.sources.shots import Shot

LAUNCH = "gst-launch-1.0"
_RAW = "video/x-raw,format=BGRx,width={width},height={height}"
_SCALED = f"videoconvert ! videoscale ! {_RAW}"
_NVMM = "video/x-raw(memory:NVMM),width={width},height={height},framerate={fps}/1"
TEMPLATES = {
    "test": f"videotestsrc is-live=true ! video/x-raw,framerate={{fps}}/1 ! {_SCALED}",
    "v4l2": f"v4l2src device={{device}} ! {_SCALED}",
    "v4l2-mjpeg": "v4l2src device={device} ! image/jpeg,width={width},height={height} ! "
    f"jpegdec ! {_SCALED}",
    "libcamera": f"libcamerasrc ! video/x-raw,width={{width}},height={{height}} ! {_SCALED}",
    "csi": f"nvarguscamerasrc sensor-id={{sensor}} ! {_NVMM} ! nvvidconv ! {_RAW}",
    "nv-v4l2-mjpeg": "v4l2src device={device} ! image/jpeg,width={width},height={height} ! "
    f"nvv4l2decoder mjpeg=1 ! nvvidconv ! {_RAW}",
    "nv-rtsp-h264": "rtspsrc location={url} protocols=tcp latency=100 ! rtph264depay ! h264parse ! "
    f"nvv4l2decoder ! nvvidconv ! {_RAW}",
    "nv-rtsp-h265": "rtspsrc location={url} protocols=tcp latency=100 ! rtph265depay ! h265parse ! "
    f"nvv4l2decoder ! nvvidconv ! {_RAW}",
}
"""Name, as in ``gst://NAME``, to the pipeline; every one ends in BGRx pixels."""
_SAID, _MOST_SAID = 2000, 1 << 20


def pipeline(name: str, options: Mapping[str, Any], descriptor: int) -> list[str]:
    """The arguments of ``gst-launch-1.0``: each element and each of its properties is one."""
    words = f"{TEMPLATES[name]} ! fdsink fd={descriptor}".split()
    return [part.format(**options) for part in words]


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
                env={**os.environ, "GST_DEBUG_NO_COLOR": "1"},
            )
        finally:
            os.close(theirs)
        try:
            yield Opened(rate(order.place, order.options))
            for shot in _frames(pixels, height, width):
                yield shot
                if os.fstat(said.fileno()).st_size > _MOST_SAID:
                    said.truncate(0)  # a warning for each bad picture, for months
            process.wait()
            raise Fault("closed", f"GStreamer ended: {_last_words(said)}")
        finally:
            process.kill()
            process.wait()


def _frames(pipe: IO[bytes], height: int, width: int) -> Iterator[Shot]:
    raw = np.empty((height, width, 4), np.uint8)
    whole = memoryview(raw.reshape(-1).data)
    while True:
        filled = 0
        while filled < len(whole):
            got = pipe.readinto(whole[filled:])  # type: ignore[attr-defined]
            if not got:
                return
            filled += got
        captured_ns = time.monotonic_ns()
        yield Shot(cv2.cvtColor(raw, cv2.COLOR_BGRA2BGR), captured_ns=captured_ns)  # type: ignore[arg-type]


def _last_words(said: IO[bytes]) -> str:
    said.seek(max(0, said.seek(0, os.SEEK_END) - _SAID))
    lines = said.read().decode("utf-8", "replace").split("\n")
    wrong = [line.strip() for line in lines if "ERROR" in line or "erroneous" in line.lower()]
    return (wrong or [line.strip() for line in lines if line.strip()] or ["it said nothing"])[-1]
