"""What GStreamer, and NVIDIA's elements in it, say when there are no pictures, in plain words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from edgeresnet.sources.fault import Fault

_DAEMON = "sudo systemctl restart nvargus-daemon"
_ELEMENTS = (
    (
        r"nv.*",
        (
            "it is in JetPack's nvidia-l4t-gstreamer; where that is installed: "
            "rm -f ~/.cache/gstreamer-1.0/registry.*; in a container: --runtime nvidia"
        ),
    ),
    (r"libcamerasrc", "apt install gstreamer1.0-libcamera"),
    (r"h26[45]parse", "apt install gstreamer1.0-plugins-bad"),
    (r"video(convert|scale|testsrc)", "apt install gstreamer1.0-plugins-base"),
    (r".*", "apt install gstreamer1.0-plugins-good"),
)
"""Element to what brings it, the first that fits."""
_ARGUS = (
    (
        # before the rate: a sensor of another number has another rate
        r"Invalid camera device specified (?P<was>\d+) specified, (?P<last>\d+) max index",
        "not-found",
        "there is no CSI camera {was}, the last is {last}",
        "sensors count from 0 in the order in which they were found: csi://{last}",
    ),
    (
        r"Frame Rate specified is greater than supported",
        "invalid",
        "the sensor does not do {fps} frames a second at {width}x{height}",
        "{modes}",
    ),
    (
        r"No cameras available",
        "not-found",
        "no CSI camera was found",
        (
            "choose its sensor with sudo /opt/nvidia/jetson-io/jetson-io.py and start anew; then "
            "sudo dmesg | grep -i i2c: -121 is a loose or turned ribbon cable (power off before)"
        ),
    ),
    (
        r"nvargus-daemon failed|create ?CameraProvider|camera provider",
        "absent",
        "nvargus-daemon does not answer at /tmp/argus_socket",
        (
            f"{_DAEMON}; a container needs -v /tmp/argus_socket:/tmp/argus_socket, and a start "
            "after the daemon's; a service, edgeresnet service --print --gpu"
        ),
    ),
    (
        r"Failed to create CaptureSession|NvBufSurfaceFromFd Failed|dmabuf_fd -1 mapped entry",
        "busy",
        "the CSI camera is taken, by another program or a session that did not end",
        f"end the other program; none: {_DAEMON}",
    ),
    (
        r"Argus Error Status|ARGUS_ERROR|Error generated.*InvalidState",
        "error",
        "the camera service fails: {line}",
        f"{_DAEMON}; journalctl -u nvargus-daemon says more",
    ),
)
"""What ``nvarguscamerasrc`` prints, the cause before its consequences."""
_ANY = (
    (
        r"Cannot identify device '(?P<device>[^']+)'",
        "absent",
        "there is no {device}",
        "v4l2-ctl --list-devices shows what there is",
    ),
    (r"Device '(?P<device>[^']+)' is busy", "busy", "{device} is in use", "end the other program"),
    (
        r"Could not open device '(?P<device>[^']+)' for reading and writing",
        "permission",
        "{device} may not be opened",
        "sudo usermod -aG video $USER, and log in again",
    ),
    (
        r"not-negotiated|Internal data stream error|(?i:could not link|delayed linking failed)",
        "invalid",
        "the source gives nothing that the template takes: {line}",
        "another width, height, fps or template; v4l2-ctl --list-formats-ext shows a camera's",
    ),
)
_MODE = re.compile(r"GST_ARGUS: (\d+) x (\d+) FR = ([\d.]+) fps")


def complaint(said: str, place: str, options: Mapping[str, Any]) -> Fault | None:
    """The fault that the output of the template ``place`` tells of; None where it tells of none.

    Loading NVIDIA's elements prints errors of Argus on any Jetson without CSI cameras, so those
    count for ``csi`` only.
    """
    if missing := re.search(r'no element "([\w-]+)"', said):
        hint = next(told for name, told in _ELEMENTS if re.fullmatch(name, missing[1]))
        return Fault("invalid", f"GStreamer has no element {missing[1]}", hint=hint)
    for pattern, reason, what, hint in (*(_ARGUS if place == "csi" else ()), *_ANY):
        if found := re.search(pattern, said):
            words = {
                **options,
                **found.groupdict(),
                "line": _line(said, found),
                "modes": _modes(said),
            }
            return Fault(reason, what.format(**words), hint=hint.format(**words))
    return None


def last_words(said: str) -> str:
    """The line that says most about why it ended."""
    lines = [line.strip() for line in said.split("\n") if line.strip()]
    wrong = [line for line in lines if re.search(r"ERROR|erroneous|Error generated", line)]
    return (wrong or lines or ["it said nothing"])[-1]


def _line(said: str, found: re.Match[str]) -> str:
    start, end = said.rfind("\n", 0, found.start()) + 1, said.find("\n", found.end())
    return said[start : end if end >= 0 else None].strip()


def _modes(said: str) -> str:
    modes = dict.fromkeys(_MODE.findall(said))
    told = ", ".join(f"{width}x{height} at {float(fps):.0f}" for width, height, fps in modes)
    return f"it does {told}" if told else "a smaller fps, or a smaller width and height"
