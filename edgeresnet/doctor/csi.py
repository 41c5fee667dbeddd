"""Cameras on a Jetson's CSI connectors: sensor, driver, daemon, GStreamer, layer by layer."""

from __future__ import annotations

from pathlib import Path

from edgeresnet.doctor.nvidia import in_container
from edgeresnet.doctor.verdict import Check, advice, missing, ok
from edgeresnet.metrics.jetson import read

_MODULES = "proc/device-tree/tegra-camera-platform/modules"
_SOCKET = "tmp/argus_socket"
_PLUGIN = "usr/lib/aarch64-linux-gnu/gstreamer-1.0/libgstnvarguscamerasrc.so"
_LAUNCH = "usr/bin/gst-launch-1.0"
_CHOOSE = "sudo /opt/nvidia/jetson-io/jetson-io.py, configure the CSI connector, reboot"


def look(host: Path) -> tuple[Check, ...]:
    """A line for each layer that fails, from the sensor up; one line when none does."""
    sensors, nodes = _sensors(host), _nodes(host)
    if not sensors and not nodes:
        return (advice("CSI sensor", "none in the device tree", f"to use one: {_CHOOSE}"),)
    if not nodes:
        told = f"{', '.join(sensors)} in the device tree, but no driver found it"
        return (
            missing(
                "CSI driver",
                told,
                "sudo dmesg | grep -iE 'imx|ov[0-9]|tegra-cam'; switch off and seat the cable "
                f"again, or another sensor was chosen: {_CHOOSE}",
            ),
        )
    inside = in_container(host)
    failing = []
    if not (host / _SOCKET).exists():
        failing.append(_daemon(inside=inside))
    if not (host / _PLUGIN).exists():
        hint = "docker run --runtime nvidia, which brings the board's own plugins"
        hint = hint if inside else "sudo apt install nvidia-l4t-gstreamer"
        failing.append(missing("CSI plugin", "GStreamer has no nvarguscamerasrc", hint))
    if not (host / _LAUNCH).exists():
        hint = f"{'' if inside else 'sudo '}apt install gstreamer1.0-tools"
        failing.append(missing("CSI capture", "no gst-launch-1.0", hint))
    found = ", ".join(f"{node} ({name})" for node, name in nodes.items())
    return tuple(failing) or (ok("CSI camera", f"{found}, ready as csi://0"),)


def _daemon(*, inside: bool) -> Check:
    if inside:
        return missing(
            "CSI daemon",
            "its socket is not in this container",
            "docker run -v /tmp/argus_socket:/tmp/argus_socket, after nvargus-daemon has started",
        )
    return missing(
        "CSI daemon",
        "nvargus-daemon does not run",
        "sudo systemctl restart nvargus-daemon; journalctl -u nvargus-daemon says why it ended",
    )


def _sensors(host: Path) -> list[str]:
    """Their badges, of the modules that are switched on."""
    modules = sorted((host / _MODULES).glob("module*"))
    on = (one for one in modules if _text(one / "status") != "disabled")
    return [badge for one in on if (badge := _text(one / "badge"))]


def _nodes(host: Path) -> dict[str, str]:
    """Video devices that a sensor's driver made, with its name."""
    folders = sorted((host / "sys/class/video4linux").glob("video*"))
    names = {folder.name: _text(folder / "name") for folder in folders}
    return {
        node: name.removeprefix("vi-output, ")
        for node, name in names.items()
        if name.startswith("vi-output")
    }


def _text(path: Path) -> str:
    return read(path).strip("\0\n ")
