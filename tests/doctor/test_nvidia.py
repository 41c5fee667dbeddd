"""TensorRT is asked for where a GPU can use it, and each machine has its own way to it."""

import subprocess
import sys
from pathlib import Path

import pytest

from edgeresnet.backends import BACKENDS
from edgeresnet.doctor import nvidia, packages
from edgeresnet.doctor.nvidia import Python, getting, is_here, unneeded
from edgeresnet.doctor.verdict import Verdict

DRIVER = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  {}  Thu Jan\n"
USR = Path("/usr")


def write(host, name, text=""):
    (host / name).parent.mkdir(parents=True, exist_ok=True)
    (host / name).write_text(text)


@pytest.fixture
def jetson(tmp_path):
    """A Jetson whose TensorRT is for the system's Python 3.10."""
    write(tmp_path, "proc/device-tree/model", "NVIDIA Jetson Orin Nano Developer Kit\0")
    write(tmp_path, "usr/lib/python3.10/dist-packages/tensorrt/__init__.py")
    return tmp_path


@pytest.fixture
def no_other_runtime(monkeypatch):
    """Loading the others takes seconds, and says nothing of this one."""
    monkeypatch.setattr("edgeresnet.backends.BACKENDS", {nvidia.NAME: BACKENDS[nvidia.NAME]})


def in_venv(folder, *, base=USR, version=(3, 10), sees=False):
    write(folder, "venv/pyvenv.cfg", f"include-system-site-packages = {str(sees).lower()}\n")
    return Python(version, folder / "venv", base)


def test_without_an_nvidia_gpu_it_is_not_needed(tmp_path, no_other_runtime):
    assert not is_here(tmp_path)
    (check,) = unneeded(tmp_path)
    assert check.verdict is Verdict.OK
    assert check.found == "not needed: no NVIDIA GPU here"
    assert packages.backends(tmp_path) == ()


def test_a_card_without_a_driver_gets_advice(tmp_path):
    for name, vendor, kind in (("0", "0x10de", "0x030000"), ("1", "0x8086", "0x030000")):
        write(tmp_path, f"sys/bus/pci/devices/{name}/vendor", f"{vendor}\n")
        write(tmp_path, f"sys/bus/pci/devices/{name}/class", f"{kind}\n")
    (check,) = unneeded(tmp_path)
    assert check.verdict is Verdict.ADVICE
    write(tmp_path, "sys/bus/pci/devices/0/class", "0x020000\n")  # NVIDIA makes network cards too
    assert unneeded(tmp_path)[0].verdict is Verdict.OK


def test_with_a_gpu_the_runtime_itself_has_the_line(tmp_path, no_other_runtime):
    write(tmp_path, "proc/driver/nvidia/version", DRIVER.format("570.86.15"))
    assert is_here(tmp_path)
    assert unneeded(tmp_path) == ()
    assert [one.name for one in packages.backends(tmp_path)] == [nvidia.NAME]


@pytest.mark.parametrize(
    ("driver", "package"), [("570.86.15", "tensorrt-cu12"), ("580.65.06", "tensorrt-cu13")]
)
def test_on_a_pc_pip_gets_what_the_driver_can_run(tmp_path, driver, package):
    write(tmp_path, "proc/driver/nvidia/version", DRIVER.format(driver))
    found = getting(tmp_path)
    assert found.get == f"pip install {package} --extra-index-url https://pypi.nvidia.com"
    assert package in found.again


def test_a_jetson_that_has_none_gets_it_from_apt(tmp_path):
    write(tmp_path, "proc/device-tree/model", "NVIDIA Jetson Orin Nano Developer Kit\0")
    assert getting(tmp_path).get == "sudo apt install python3-libnvinfer"
    write(tmp_path, ".dockerenv")
    assert "l4t-jetpack" in getting(tmp_path).get


def test_an_environment_that_does_not_see_the_systems_is_mended_in_place(jetson):
    python = in_venv(jetson)
    found = getting(jetson, python)
    assert "does not see" in found.absent
    mend, _, other = found.get.partition(", or a new one: ")
    assert other == "python3 -m venv --system-site-packages"
    subprocess.run(mend, shell=True, check=True)
    assert python.sees_system


@pytest.mark.parametrize(
    ("version", "base", "words"),
    [
        ((3, 12), USR, "for Python 3.10, this is 3.12"),
        ((3, 10), Path("/opt/conda"), "this is another"),
    ],
)
def test_another_python_is_told_to_take_the_systems(jetson, version, base, words):
    for python in (in_venv(jetson, base=base, version=version), Python(version, base, base)):
        found = getting(jetson, python)
        assert words in found.absent
        assert found.get.startswith("/usr/bin/python3.10 -m venv --system-site-packages ")


def test_a_package_for_every_python_3_is_taken_by_any(jetson):
    write(jetson, "usr/lib/python3/dist-packages/tensorrt/__init__.py")
    assert "does not see" in getting(jetson, in_venv(jetson, version=(3, 12))).absent


@pytest.mark.parametrize("sees", [True, False])
def test_what_an_environment_sees_is_in_its_configuration(tmp_path, sees):
    option = ["--system-site-packages"] if sees else []
    folder = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", *option, folder], check=True)
    assert Python((3, 10), folder, USR).sees_system is sees


def test_the_systems_own_python_sees_it():
    assert Python((3, 10), USR, USR).sees_system
    assert not Python((3, 10), Path("/usr/local"), Path("/usr/local")).sees_system


def test_a_board_that_is_too_old_is_not_asked_for_it(tmp_path):
    write(tmp_path, "proc/device-tree/model", "NVIDIA Jetson Nano Developer Kit\0")
    assert not is_here(tmp_path)
    assert "too old" in unneeded(tmp_path)[0].found


def test_what_gets_a_runtime_is_said_in_place_of_pip():
    found = packages.backend("not_a_runtime", nvidia.Getting("hidden", "show it", "again"))
    assert (found.found, found.hint) == ("hidden", "show it")
    failing = packages.backend("json", nvidia.Getting("", "", "again"), code="raise OSError('x')")
    assert failing.hint == "again"
