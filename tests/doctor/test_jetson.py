"""A Jetson is examined by its system's files, here in a folder in their place."""

import pytest

from edgeresnet.core.target import target_names
from edgeresnet.doctor import jetson
from edgeresnet.doctor.verdict import Verdict

NANO = "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super"
GPU = "sys/class/devfreq/17000000.gpu"
BOARD = {
    "proc/device-tree/model": f"{NANO}\0",
    "etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 38968081\n",
    "etc/nvpmodel.conf": "< POWER_MODEL ID=0 NAME=15W >\n< POWER_MODEL ID=2 NAME=MAXN_SUPER >\n",
    "var/lib/nvpmodel/status": "pmode:0000\n",
    "var/lib/dpkg/status": (
        "Package: libnvinfer10\nStatus: install ok installed\nVersion: 10.3.0.30-1+cuda12.5\n"
    ),
    "proc/meminfo": "MemTotal:        7802104 kB\n",
    "proc/swaps": "Filename Type Size Used Priority\n"
    "/dev/zram0 partition 650000 0 5\n/swapfile file 4194304 0 -2\n",
    f"{GPU}/cur_freq": "306000000",
    f"{GPU}/min_freq": "306000000",
    f"{GPU}/max_freq": "1020000000",
}


def examined(host, **changes):
    """Lines by name, of the board with some files changed; None takes one away."""
    for name, text in {**BOARD, **{k.replace("__", "/"): v for k, v in changes.items()}}.items():
        path = host / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        if text is not None:
            path.write_text(text)
    return {check.name: check for check in jetson.look(host)}


def test_nothing_is_said_where_there_is_none(tmp_path):
    assert jetson.look(tmp_path) == ()


def test_a_board_in_order_is_told_in_full(tmp_path):
    found = examined(tmp_path)
    assert found["Jetson"].found == f"{NANO}: --target jetson-orin-nano-8gb"
    assert found["JetPack"].found == "6.2, L4T 36.4.3"
    assert found["TensorRT library"].found == "libnvinfer 10.3.0.30"
    assert found["power mode"].found == "15W (of 15W, MAXN_SUPER)"
    assert "gpu 306-1020" in found["clocks"].found
    assert found["swap"].found == "zram 0.6 GiB, disk 4.0 GiB"
    assert {found[name].verdict for name in found if not name.startswith("CSI")} == {Verdict.OK}


@pytest.mark.parametrize(
    ("model", "memory_gib", "target"),
    [
        (NANO, 3.3, "jetson-orin-nano-4gb"),
        ("NVIDIA Orin Nano Developer Kit", 7.4, "jetson-orin-nano-8gb"),
        ("NVIDIA Jetson Orin NX Engineering Reference Developer Kit", 15.3, "jetson-orin-nx-16gb"),
        ("NVIDIA Jetson AGX Orin Developer Kit", 29.8, "jetson-agx-orin-32gb"),
        ("NVIDIA Jetson AGX Orin Developer Kit", 61.4, "jetson-agx-orin-64gb"),
        ("NVIDIA Jetson AGX Thor Developer Kit", 122.8, "jetson-agx-thor"),
        ("NVIDIA Jetson of tomorrow", 8, ""),
    ],
)
def test_the_target_of_a_board_is_one_that_ships(model, memory_gib, target):
    assert jetson.target_of(model, memory_gib) == target
    assert target in (*target_names(), "")


def test_a_board_that_is_too_old_is_not_told_to_upgrade(tmp_path):
    found = examined(
        tmp_path,
        **{"proc/device-tree/model": "NVIDIA Jetson Xavier NX Developer Kit\0"},
        etc__nv_tegra_release="# R35 (release), REVISION: 4.1, GCID: 1\n",
    )
    assert found["Jetson"].verdict is Verdict.MISSING
    assert "last JetPack is 5.1" in found["Jetson"].found
    assert "generic-cpu" in found["Jetson"].hint
    assert not {"JetPack", "TensorRT library"} & set(found)


@pytest.mark.parametrize(
    ("release", "verdict", "words"),
    [
        ("R36 (release), REVISION: 3.0", Verdict.MISSING, "6.0, L4T 36.3.0: its TensorRT is older"),
        ("R35 (release), REVISION: 4.1", Verdict.MISSING, "5, L4T 35.4.1: its TensorRT is older"),
        (
            "R36 (release), REVISION: 9.9",
            Verdict.OK,
            "6, L4T 36.9.9, which release of it is unknown",
        ),
        ("R39 (release), REVISION: 2.0", Verdict.OK, "7.2, L4T 39.2.0"),
        ("R77 (release), REVISION: 1.0", Verdict.ADVICE, "unknown, of L4T 77.1.0"),
        ("something", Verdict.ADVICE, "unknown: no L4T release"),
    ],
)
def test_a_release_is_judged_as_far_as_it_is_known(tmp_path, release, verdict, words):
    check = examined(tmp_path, etc__nv_tegra_release=f"# {release}, GCID: 1\n")["JetPack"]
    assert check.verdict is verdict
    assert words in check.found


def test_the_library_is_known_by_its_file_where_dpkg_does_not_tell(tmp_path):
    file = {"usr/lib/aarch64-linux-gnu/libnvinfer.so.10.13.3": ""}
    found = examined(tmp_path, var__lib__dpkg__status=None, **file)
    assert found["TensorRT library"].found == "libnvinfer 10.13.3"


@pytest.mark.parametrize("by", ["package", "file"])
@pytest.mark.parametrize("order", [1, -1])
def test_of_several_libraries_the_newest_counts(tmp_path, by, order):
    versions = ["8.6.2", "10.3.0"][::order]
    packages = "\n".join(
        f"Package: libnvinfer{version.partition('.')[0]}\nStatus: install ok installed\n"
        f"Version: {version}-1+cuda12\n"
        for version in versions
    )
    files = {f"usr/lib/aarch64-linux-gnu/libnvinfer.so.{version}": "" for version in versions}
    status = packages if by == "package" else None
    found = examined(tmp_path, var__lib__dpkg__status=status, **(files if by == "file" else {}))
    assert found["TensorRT library"].verdict is Verdict.OK
    assert found["TensorRT library"].found == "libnvinfer 10.3.0"


@pytest.mark.parametrize(
    ("status", "found", "hint"),
    [
        (None, "not installed", "apt install nvidia-jetpack"),
        (
            "Package: libnvinfer8\nStatus: install ok installed\nVersion: 8.6.2.3-1+cuda12.2\n",
            "libnvinfer 8.6.2.3, 10 is needed",
            "JetPack 6.2",
        ),
    ],
)
def test_without_a_library_that_will_do_the_way_to_one_is_told(tmp_path, status, found, hint):
    check = examined(tmp_path, var__lib__dpkg__status=status)["TensorRT library"]
    assert check.verdict is Verdict.MISSING
    assert found in check.found
    assert hint in check.hint


def test_locked_clocks_are_told_apart(tmp_path):
    found = examined(tmp_path, **{f"{GPU}/min_freq": "1020000000"})
    assert found["clocks"].found == "locked, MHz: gpu 1020"
    assert "clocks" not in examined(tmp_path, **{f"{GPU}/max_freq": None})


def test_a_power_mode_that_a_container_hides_gets_its_mounts(tmp_path):
    hidden = examined(tmp_path, var__lib__nvpmodel__status=None)["power mode"]
    assert hidden.hint == "sudo nvpmodel -q"
    inside = {".dockerenv": "", "var/lib/nvpmodel/status": None, "etc/nv_tegra_release": None}
    found = examined(tmp_path, **inside)
    assert "-v /var/lib/nvpmodel" in found["power mode"].hint
    assert "-v /etc/nv_tegra_release" in found["JetPack"].hint


def test_a_small_board_without_swap_on_disk_is_told_how_to_get_it(tmp_path):
    header = "Filename Type Size Used Priority\n"
    check = examined(tmp_path, proc__swaps=f"{header}/dev/zram0 partition 650000 0 5\n")["swap"]
    assert check.verdict is Verdict.ADVICE
    assert "swapon /swapfile" in check.hint
    large = examined(tmp_path, proc__swaps=header, proc__meminfo="MemTotal: 64349016 kB\n")
    assert large["swap"].verdict is Verdict.OK
