"""Cameras, video decoding and graphics processors."""

from __future__ import annotations

import io
import os
import re
from pathlib import Path

from edgeresnet.doctor.verdict import Check, advice, missing, ok

_CODECS = ("h264", "hevc", "mjpeg", "vp9", "av1")


def look(host: Path) -> tuple[Check, ...]:
    """All checks of this module."""
    return (cameras(host), decoding(), graphics(host))


def cameras(host: Path) -> Check:
    """Video devices by their names, and whether this user may open them."""
    nodes = sorted((host / "dev").glob("video[0-9]*"), key=lambda p: (len(p.name), p.name))
    if not nodes:
        return advice(
            "cameras",
            "none",
            "plug one in, or run on files; a container needs --device /dev/video0",
        )
    names = host / "sys/class/video4linux"
    found = ", ".join(f"{node.name} ({_name(names / node.name / 'name')})" for node in nodes)
    if not all(os.access(node, os.R_OK | os.W_OK) for node in nodes):
        return advice(
            "cameras", f"{found}: no permission", "sudo usermod -aG video $USER, then log in again"
        )
    return ok("cameras", found)


def _name(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return "no name"


def decoding() -> Check:
    """Write a tiny video into memory and read it back; which codecs this FFmpeg decodes."""
    try:
        import av
        import numpy as np
    except (ImportError, OSError) as error:
        return missing("video", f"cannot be loaded: {error}", "pip install av numpy")
    count, size = 3, 64
    buffer = io.BytesIO()
    try:
        with av.open(buffer, "w", format="matroska") as writer:
            stream = writer.add_stream("mpeg4", rate=5)
            stream.width = stream.height = size
            stream.pix_fmt = "yuv420p"
            grey = np.full((size, size, 3), 128, np.uint8)
            for _ in range(count):
                writer.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="bgr24")))
            writer.mux(stream.encode(None))
        buffer.seek(0)
        with av.open(buffer, "r") as reader:
            decoded = len(list(reader.decode(video=0)))
    except (av.FFmpegError, OSError, ValueError) as error:
        return missing("video", f"FFmpeg fails: {error}", "pip install --force-reinstall av")
    if decoded != count:
        found = f"{decoded} of {count} frames came back"
        return missing("video", found, "pip install --force-reinstall av")
    readable = [codec for codec in _CODECS if codec in av.codecs_available]
    return ok("video", f"PyAV {av.__version__} decodes {', '.join(readable)}")


def graphics(host: Path) -> Check:
    """An NVIDIA driver, a Jetson, or a render node."""
    jetson = _name(host / "etc/nv_tegra_release")
    if jetson != "no name":
        return ok("GPU", f"Jetson, L4T {jetson.lstrip('# ').split(',')[0]}")
    text = _name(host / "proc/driver/nvidia/version")
    if match := re.search(r"Kernel Module.*?\s(\d+\.\d+(?:\.\d+)?)", text):
        cards = sorted((host / "dev").glob("nvidia[0-9]*"))
        if not cards:
            return advice(
                "GPU", f"NVIDIA driver {match[1]}, no device", "a container needs --gpus all"
            )
        return ok("GPU", f"NVIDIA driver {match[1]}, {len(cards)} device(s)")
    nodes = sorted((host / "dev/dri").glob("renderD*"))
    if nodes:
        return ok("GPU", f"render node {', '.join(node.name for node in nodes)}")
    return ok("GPU", "none; bundles run on the processor")
