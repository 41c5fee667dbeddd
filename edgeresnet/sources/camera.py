"""``camera://0?width=1280&height=720&fps=30&fourcc=MJPG``: a V4L2 camera, by OpenCV."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import cv2
from pydantic import Field

from edgeresnet.core.errors import DeviceError, UsageError
from edgeresnet.core.schema import Schema, parse
from edgeresnet.sources.shots import Lost, Shot, Shots, ShotSource

DEVICES, NAMES = Path("/dev"), Path("/sys/class/video4linux")
_BAD_SHOTS = 100  # in a row, before the camera counts as broken
_MAX_AGE_NS = 10_000_000_000

_log = logging.getLogger("edgeresnet")


class Options(Schema):
    """What may follow the ``?``; the camera's own choice where absent."""

    width: int | None = Field(None, gt=0, le=16384)
    height: int | None = Field(None, gt=0, le=16384)
    fps: float | None = Field(None, gt=0, le=1000)
    fourcc: str | None = Field(None, pattern="^[A-Za-z0-9]{4}$")
    """Pixel format on the wire: ``MJPG`` gives large pictures at full rate over USB."""


def open_capture(device: Path) -> cv2.VideoCapture:
    """A device as OpenCV opens it, or fails to; tests put a fake in its place."""
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # we say it better
    try:
        return cv2.VideoCapture(str(device), cv2.CAP_V4L2)
    finally:
        cv2.utils.logging.setLogLevel(level)


def open_place(
    place: str, options: Mapping[str, str], *, index: int, stop: threading.Event
) -> AbstractContextManager[ShotSource]:
    """Open camera number ``place``, or the device file ``place`` (``/dev/v4l/by-id/...`` too)."""
    del index  # a camera opens once only: its own number is unique
    chosen = parse(Options, options, "source camera://", UsageError)
    if not (place.isdecimal() or place.startswith("/")):
        raise UsageError(f"source camera://: no such camera: {place!r}", hint=_cameras())
    device = DEVICES / f"video{place}" if place.isdecimal() else Path(place)
    return _opened(device, chosen, stop)


@contextmanager
def _opened(device: Path, options: Options, stop: threading.Event) -> Generator[ShotSource]:
    _check(device)
    name = f"camera-{device.name.removeprefix('video')}"
    capture = open_capture(device)
    try:
        if not capture.isOpened():
            raise DeviceError(
                f"{device} gives no pictures",
                hint=f"another program may hold it (fuser -v {device}); {_cameras()}",
            )
        _configure(capture, options, name)
        fps = capture.get(cv2.CAP_PROP_FPS)
        yield ShotSource(
            name, lambda: _shots(capture, device), stop, live=True, fps=fps if fps > 0 else None
        )
    finally:
        capture.release()


def _check(device: Path) -> None:
    if not device.exists():
        raise DeviceError(f"no camera at {device}", hint=_cameras())
    if not os.access(device, os.R_OK | os.W_OK):
        raise DeviceError(
            f"no permission to use {device}",
            hint="sudo usermod -aG video $USER, then log in again",
        )


def _cameras() -> str:
    """The cameras that are there, for a hint."""
    found = []
    for device in sorted(DEVICES.glob("video[0-9]*"), key=lambda path: (len(path.name), path.name)):
        try:
            title = (NAMES / device.name / "name").read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            title = ""
        found.append(f"{device} ({title})" if title else str(device))
    if found:
        return f"cameras here: {', '.join(found)}"
    return f"no camera is connected: no {DEVICES}/video*; a container needs --device"


def _configure(capture: cv2.VideoCapture, options: Options, name: str) -> None:
    """Ask for what was asked for; a camera that decides otherwise is told on, not refused."""
    if options.fourcc:
        code = cv2.VideoWriter.fourcc(*options.fourcc)
        _ask(capture, cv2.CAP_PROP_FOURCC, code, f"{name}: fourcc={options.fourcc}")
    for title, key, value in (
        ("width", cv2.CAP_PROP_FRAME_WIDTH, options.width),
        ("height", cv2.CAP_PROP_FRAME_HEIGHT, options.height),
        ("fps", cv2.CAP_PROP_FPS, options.fps),
    ):
        if value:
            _ask(capture, key, value, f"{name}: {title}={value:g}")
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)


def _ask(capture: cv2.VideoCapture, key: int, value: float, what: str) -> None:
    capture.set(key, value)
    got = capture.get(key)
    if abs(got - value) >= 1:
        _log.warning("%s was asked for, the camera gives %s", what, _shown(key, got))


def _shown(key: int, value: float) -> str:
    if key != cv2.CAP_PROP_FOURCC:
        return f"{value:g}"
    return int(value).to_bytes(8, "little", signed=True)[:4].decode("ascii", "replace")


def _shots(capture: cv2.VideoCapture, device: Path) -> Shots:
    bad, told = 0, ""
    while bad < _BAD_SHOTS and capture.grab():
        captured_ns = _captured_ns(capture)
        good, pixels = capture.retrieve()
        if not good or pixels is None:
            bad += 1
            yield Lost("corrupt", "" if told else (told := f"{device} gives damaged pictures"))
            continue
        bad = 0
        if pixels.ndim == 2:
            pixels = cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR)
        yield Shot(pixels, captured_ns=captured_ns)  # type: ignore[arg-type]
    raise DeviceError(
        f"{device} stopped giving pictures", hint="was it unplugged? dmesg tells; so does lsusb"
    )


def _captured_ns(capture: cv2.VideoCapture) -> int:
    """The driver's own time stamp, where it is of the monotonic clock and of this moment."""
    now = time.monotonic_ns()
    stamped = int(capture.get(cv2.CAP_PROP_POS_MSEC) * 1e6)
    return stamped if now - _MAX_AGE_NS < stamped <= now else now
