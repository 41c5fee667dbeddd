"""Cameras, decoding and graphics processors, found without opening a device."""

import os

import pytest

from edgeresnet.doctor import devices
from edgeresnet.doctor.verdict import Verdict


def touch(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_cameras_are_told_by_name_in_their_order(tmp_path):
    touch(tmp_path / "dev/video10", tmp_path / "dev/video2")
    name = tmp_path / "sys/class/video4linux/video2/name"
    touch(name)
    name.write_text("HD Webcam\n")
    check = devices.cameras(tmp_path)
    assert check.found == "video2 (HD Webcam), video10 (no name)"
    assert check.verdict is Verdict.OK


def test_no_camera_is_advice(tmp_path):
    assert devices.cameras(tmp_path).verdict is Verdict.ADVICE


def test_a_camera_that_may_not_be_opened_gets_the_group(tmp_path, monkeypatch):
    touch(tmp_path / "dev/video0")
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "usermod -aG video" in devices.cameras(tmp_path).hint


def test_video_is_decoded_for_real():
    check = devices.decoding()
    assert check.verdict is Verdict.OK
    assert "h264" in check.found


NVIDIA = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.86.15  Thu Jan\n"
JETSON = "# R36 (release), REVISION: 4.3, GCID: 38968081\n"


@pytest.mark.parametrize(
    ("file", "text", "device", "found"),
    [
        ("proc/driver/nvidia/version", NVIDIA, "dev/nvidia0", "NVIDIA driver 570.86.15, 1 device"),
        ("proc/driver/nvidia/version", NVIDIA, "dev/null0", "no device"),
        ("etc/nv_tegra_release", JETSON, "dev/null0", "Jetson, L4T R36"),
        ("etc/none", "", "dev/dri/renderD128", "render node renderD128"),
        ("etc/none", "", "dev/null0", "none; bundles run on the processor"),
    ],
)
def test_a_graphics_processor_is_told_by_its_driver(tmp_path, file, text, device, found):
    touch(tmp_path / file, tmp_path / device)
    (tmp_path / file).write_text(text)
    assert found in devices.graphics(tmp_path).found
