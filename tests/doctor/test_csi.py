"""Of a camera that gives no picture, the layer that fails is named with what mends it."""

import pytest

from edgeresnet.doctor import csi
from edgeresnet.doctor.verdict import Verdict

MODULE = "proc/device-tree/tegra-camera-platform/modules/module0"
NODE = "sys/class/video4linux/video0/name"
SOCKET = "tmp/argus_socket"
PLUGIN = "usr/lib/aarch64-linux-gnu/gstreamer-1.0/libgstnvarguscamerasrc.so"
LAUNCH = "usr/bin/gst-launch-1.0"
WHOLE = {
    f"{MODULE}/badge": "jakku_front_RBPCV2\0",
    NODE: "vi-output, imx219 9-0010\n",
    SOCKET: "",
    PLUGIN: "",
    LAUNCH: "",
}


def looked(host, *without, **more):
    for name, text in {**WHOLE, **more}.items():
        if name not in without:
            (host / name).parent.mkdir(parents=True, exist_ok=True)
            (host / name).write_text(text)
    return csi.look(host)


def test_with_every_layer_there_the_sensor_is_named(tmp_path):
    (check,) = looked(tmp_path)
    assert check.verdict is Verdict.OK
    assert check.found == "video0 (imx219 9-0010), ready as csi://0"


def test_no_sensor_is_advice_that_leads_to_jetson_io(tmp_path):
    (check,) = looked(tmp_path, f"{MODULE}/badge", NODE)
    assert check.verdict is Verdict.ADVICE
    assert check.found == "none in the device tree"
    assert "jetson-io.py" in check.hint


def test_a_module_that_is_switched_off_is_no_sensor(tmp_path):
    (check,) = looked(tmp_path, NODE, **{f"{MODULE}/status": "disabled\0"})
    assert check.found == "none in the device tree"


def test_a_usb_camera_is_no_sensor(tmp_path):
    (check,) = looked(tmp_path, f"{MODULE}/badge", **{NODE: "HD Webcam\n"})
    assert check.verdict is Verdict.ADVICE


def test_a_sensor_that_no_driver_found_is_a_matter_of_the_cable(tmp_path):
    (check,) = looked(tmp_path, NODE)
    assert check.verdict is Verdict.MISSING
    assert "jakku_front_RBPCV2" in check.found
    assert "cable" in check.hint


@pytest.mark.parametrize(
    ("absent", "layer", "outside", "inside"),
    [
        (SOCKET, "CSI daemon", "systemctl restart nvargus-daemon", "-v /tmp/argus_socket:"),
        (PLUGIN, "CSI plugin", "apt install nvidia-l4t-gstreamer", "--runtime nvidia"),
        (LAUNCH, "CSI capture", "sudo apt install gstreamer1.0-tools", "apt install gstreamer1.0"),
    ],
)
def test_the_layer_that_fails_is_mended_where_it_fails(tmp_path, absent, layer, outside, inside):
    (check,) = looked(tmp_path, absent)
    assert (check.name, check.verdict) == (layer, Verdict.MISSING)
    assert outside in check.hint
    (check,) = looked(tmp_path, absent, **{"run/.containerenv": ""})
    assert check.name == layer
    assert inside in check.hint
    assert "sudo" not in check.hint


def test_all_layers_that_fail_are_told_at_once(tmp_path):
    names = [check.name for check in looked(tmp_path, SOCKET, PLUGIN, LAUNCH)]
    assert names == ["CSI daemon", "CSI plugin", "CSI capture"]
