"""V4L2 cameras, by OpenCV. The device is looked up and set up anew on each attempt."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2

from edgeresnet.sources.fault import Fault
from edgeresnet.sources.grab import Grabbed, Opened, Order, Said
from edgeresnet.sources.shots import Lost, Shot

DEVICES, NAMES, PROCESSES = Path("/dev"), Path("/sys/class/video4linux"), Path("/proc")
_BAD_SHOTS = 100  # in a row, before the camera counts as broken
_MAX_AGE_NS = 10_000_000_000


def open_capture(device: Path) -> cv2.VideoCapture:
    """A device as OpenCV opens it, or fails to; tests put a fake in its place."""
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # we say it better
    return cv2.VideoCapture(str(device), cv2.CAP_V4L2)


def connect(order: Order) -> Grabbed:
    """``place`` is the device file; ``options`` may have ``width height fps fourcc``."""
    device = _found(Path(order.place))
    capture = open_capture(device)
    try:
        if not capture.isOpened():
            raise Fault("busy", f"{order.place} gives no pictures{_holder(device)}")
        for told in _configure(capture, order.options):
            yield Said(f"{order.place}: {told}")
        fps = capture.get(cv2.CAP_PROP_FPS)
        yield Opened(fps if 0 < fps < 1000 else None)
        yield from _shots(capture, order.place)
    finally:
        capture.release()


def _found(device: Path) -> Path:
    """The node behind ``device``: a camera that was plugged in again may have another number."""
    if not device.exists():
        raise Fault("absent", f"no camera at {device}", hint=cameras())
    if not os.access(device, os.R_OK | os.W_OK):
        raise Fault(
            "permission",
            f"no permission to use {device}",
            hint="sudo usermod -aG video $USER, then log in again",
        )
    return device.resolve()


def cameras() -> str:
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


def _holder(device: Path) -> str:
    """Which process has the device open, where we may know."""
    for handle in PROCESSES.glob("[0-9]*/fd/*"):
        with suppress(OSError):
            if handle.readlink() == device and handle.parts[-3] != str(os.getpid()):
                return f": process {handle.parts[-3]} has it open"
    return f"; another program may hold it (fuser -v {device})"


def _configure(capture: cv2.VideoCapture, options: Mapping[str, Any]) -> list[str]:
    """Ask for what was asked for; where the camera decides otherwise, a line that says so."""
    told = []
    if options.get("fourcc"):
        code = cv2.VideoWriter.fourcc(*options["fourcc"])
        told += _ask(capture, cv2.CAP_PROP_FOURCC, code, f"fourcc={options['fourcc']}")
    for title, key in (
        ("width", cv2.CAP_PROP_FRAME_WIDTH),
        ("height", cv2.CAP_PROP_FRAME_HEIGHT),
        ("fps", cv2.CAP_PROP_FPS),
    ):
        if options.get(title):
            told += _ask(capture, key, options[title], f"{title}={options[title]:g}")
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    return told


def _ask(capture: cv2.VideoCapture, key: int, value: float, what: str) -> list[str]:
    capture.set(key, value)
    got = capture.get(key)
    if abs(got - value) < 1:
        return []
    return [f"{what} was asked for, the camera gives {_shown(key, got)}"]


def _shown(key: int, value: float) -> str:
    if key != cv2.CAP_PROP_FOURCC:
        return f"{value:g}"
    return int(value).to_bytes(8, "little", signed=True)[:4].decode("ascii", "replace")


def _shots(capture: cv2.VideoCapture, place: str) -> Grabbed:
    bad, told = 0, ""
    while bad < _BAD_SHOTS and capture.grab():
        captured_ns = _captured_ns(capture)
        good, pixels = capture.retrieve()
        if not good or pixels is None:
            bad += 1
            yield Lost("corrupt", "" if told else (told := f"{place} gives damaged pictures"))
            continue
        bad = 0
        if pixels.ndim == 2:
            pixels = cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR)
        yield Shot(pixels, captured_ns=captured_ns)  # type: ignore[arg-type]
    raise Fault(
        "closed",
        f"{place} stopped giving pictures",
        hint="was it unplugged? dmesg tells; so does lsusb",
    )


def _captured_ns(capture: cv2.VideoCapture) -> int:
    """The driver's own time stamp, where it is of the monotonic clock and of this moment."""
    now = time.monotonic_ns()
    stamped = int(capture.get(cv2.CAP_PROP_POS_MSEC) * 1e6)
    return stamped if now - _MAX_AGE_NS < stamped <= now else now
