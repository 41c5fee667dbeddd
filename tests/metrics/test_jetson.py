"""A Jetson is read from its system's files, here from a folder in their place."""

import json

import pytest

from edgeresnet.metrics.fingerprint import fingerprint
from edgeresnet.metrics.jetson import Clock, package_version, read_jetson

NVPMODEL = """
< PARAM TYPE=FILE NAME=CPU_ONLINE >
# < POWER_MODEL ID=9 NAME=COMMENT >
< POWER_MODEL ID=0 NAME=15W >
CPU_ONLINE CORE_0 1
< POWER_MODEL ID=1 NAME=25W >
< POWER_MODEL ID=2 NAME=MAXN_SUPER >
< POWER_MODEL ID=3 NAME=7W >
< PM_CONFIG DEFAULT=1 >
"""
GPU = "sys/class/devfreq/17000000.gpu"
CPU = "sys/devices/system/cpu/cpufreq/policy"
BOARD = {
    "proc/device-tree/model": "NVIDIA Jetson Orin Nano Developer Kit Super\0",
    "etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 38968081\n",
    "etc/nvpmodel.conf": NVPMODEL,
    "var/lib/nvpmodel/status": "pmode:0002 fmode:quiet\n",
    f"{CPU}0/scaling_cur_freq": "729600\n",
    f"{CPU}0/scaling_min_freq": "729600\n",
    f"{CPU}0/scaling_max_freq": "1728000\n",
    f"{CPU}4/scaling_cur_freq": "1728000\n",
    f"{CPU}4/scaling_min_freq": "1728000\n",
    f"{CPU}4/scaling_max_freq": "1728000\n",
    f"{GPU}/cur_freq": "306000000\n",
    f"{GPU}/min_freq": "306000000\n",
    f"{GPU}/max_freq": "1020000000\n",
    "sys/class/devfreq/15340000.vic/cur_freq": "115200000\n",
}


def write(host, texts):
    for name, text in texts.items():
        (host / name).parent.mkdir(parents=True, exist_ok=True)
        (host / name).write_text(text)


def test_what_its_speed_depends_on_is_read(tmp_path):
    write(tmp_path, BOARD)
    found = read_jetson(tmp_path)
    assert found.model == "NVIDIA Jetson Orin Nano Developer Kit Super"
    assert (found.l4t, found.jetpack) == ("36.4.3", "6.2")
    assert found.power_mode == "MAXN_SUPER"
    assert found.power_modes == ("15W", "25W", "MAXN_SUPER", "7W")
    assert found.clocks == (
        Clock("cpu0", 730, 730, 1728),
        Clock("cpu4", 1728, 1728, 1728),
        Clock("gpu", 306, 306, 1020),
    )
    assert [one.locked for one in found.clocks] == [False, True, False]


def test_it_is_part_of_the_fingerprint_there_and_nowhere_else(tmp_path):
    write(tmp_path / "jetson", BOARD)
    told = fingerprint(tmp_path / "jetson")["jetson"]
    assert told["power_mode"] == "MAXN_SUPER"
    assert told["clocks_mhz"]["gpu"] == {"now": 306, "least": 306, "most": 1020}
    assert json.loads(json.dumps(told)) == told
    assert "jetson" not in fingerprint(tmp_path / "pc")


def test_another_board_is_none(tmp_path):
    assert read_jetson(tmp_path) is None
    write(tmp_path, {"proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0"})
    assert read_jetson(tmp_path) is None


def test_what_the_system_does_not_tell_is_empty(tmp_path):
    write(tmp_path, {"proc/device-tree/model": "NVIDIA Jetson AGX Thor Developer Kit\0"})
    found = read_jetson(tmp_path)
    assert (found.l4t, found.jetpack, found.power_mode) == ("", "", "")
    assert found.power_modes == found.clocks == ()


def test_a_mode_without_a_name_is_told_by_its_number(tmp_path):
    write(tmp_path, {**BOARD, "var/lib/nvpmodel/status": "pmode:0007\n"})
    assert read_jetson(tmp_path).power_mode == "mode 7"


@pytest.mark.parametrize(
    ("answer", "mode"),
    [("echo 'NV Power Mode: MODE_30W'; echo 2", "MODE_30W"), ("echo no >&2; exit 1", "")],
)
def test_without_its_note_nvpmodel_is_asked_and_only_asked(tmp_path, answer, mode):
    write(
        tmp_path, {**BOARD, "usr/sbin/nvpmodel": f'#!/bin/sh\ntest "$*" = -q || exit 9\n{answer}\n'}
    )
    (tmp_path / "var/lib/nvpmodel/status").unlink()
    (tmp_path / "usr/sbin/nvpmodel").chmod(0o755)
    assert read_jetson(tmp_path).power_mode == mode


STATUS = """Package: libnvinfer-bin
Status: install ok installed
Version: 1.0

Package: libnvinfer10
Status: install ok installed
Priority: optional
Version: 10.3.0.30-1+cuda12.5
Description: TensorRT
 .
 more

Package: nvidia-l4t-core
Status: hold ok installed
Version: 36.4.7-20250918154033

Package: libnvinfer8
Status: deinstall ok config-files
Version: 8.6.2
"""


def test_a_package_is_found_by_its_whole_name_and_only_where_installed(tmp_path):
    write(tmp_path, {"var/lib/dpkg/status": STATUS})
    assert package_version(tmp_path, r"libnvinfer\d+") == "10.3.0.30-1+cuda12.5"
    assert not package_version(tmp_path, "libnvinfer8")
    assert not package_version(tmp_path, "nvinfer10")


def test_in_a_container_the_release_is_the_packages(tmp_path):
    write(tmp_path, {**BOARD, "var/lib/dpkg/status": STATUS, "etc/nv_tegra_release": ""})
    assert read_jetson(tmp_path).l4t == "36.4.7"
