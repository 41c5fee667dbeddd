"""The unit says what systemd is to read, and nothing that it would read otherwise."""

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeresnet.core.errors import UsageError
from edgeresnet.run.unit import Service, gpu_devices

CONFIG = Path("/etc/edgeresnet/app.toml")


def service(**changes):
    whole = {"name": "edgeresnet", "user": "edgeresnet", "command": ("/opt/e/bin/edgeresnet",)}
    return Service(**{**whole, "config": CONFIG, **changes})


def lines(made, key):
    """The values of a key, comments left out."""
    told = made.unit().split("\n")
    return [line.partition("=")[2] for line in told if line.startswith(f"{key}=")]


def test_it_starts_the_run_watches_it_and_starts_it_again():
    made = service()
    assert lines(made, "ExecStart") == ["/opt/e/bin/edgeresnet run /etc/edgeresnet/app.toml"]
    assert lines(made, "Type") == ["notify"]
    assert lines(made, "WatchdogSec") == ["30"]
    assert lines(made, "Restart") == ["always"]
    assert lines(made, "StartLimitIntervalSec") == ["0"]
    assert lines(made, "LoadCredential") == []


def test_each_service_has_folders_and_a_cache_of_its_own():
    made = service(name="door", user="cams")
    for key in ("StateDirectory", "CacheDirectory", "RuntimeDirectory"):
        assert lines(made, key) == ["door"]
    assert lines(made, "Environment") == ["XDG_CACHE_HOME=%C/door"]
    assert lines(made, "WorkingDirectory") == ["%S/door"]
    assert lines(made, "User") == lines(made, "Group") == ["cams"]
    assert "/etc/systemd/system/door.service" in made.unit()


def test_secrets_are_loaded_from_beside_the_configuration():
    made = service(credentials=("door", "web.token"), config=Path("/etc/a b%/app.toml"))
    assert lines(made, "LoadCredential") == [
        "door:/etc/a b%%/door",
        "web.token:/etc/a b%%/web.token",
    ]


def test_homes_are_hidden_unless_something_needed_is_there():
    assert lines(service(), "ProtectHome") == ["yes"]
    for there in (
        {"command": ("/home/me/.venv/bin/edgeresnet",)},
        {"config": Path("/root/app.toml")},
        {"reads": (Path("/home/me/b.bundle"),)},
    ):
        made = service(**there)
        assert lines(made, "ProtectHome") == ["read-only"]
        assert len(made.at_home) == 1
    assert service(reads=(Path("/homes/b"),)).at_home == ()
    assert service(reads=(Path("/tmp/b"), Path("/var/tmp/c"))).hidden == ("/tmp/b", "/var/tmp/c")


def test_a_gpus_devices_are_allowed_and_the_disks_are_not():
    nodes = ["/dev/nvidia0", "/dev/nvidia-caps/nvidia-cap1", "/dev/nvhost-gpu", "/dev/nvmap"]
    devices = gpu_devices([*nodes, "/dev/nvme0", "/dev/nvram", "/dev/nvme-fabrics"])
    assert set(nodes) < set(devices)
    assert len(devices) == len(set(devices))
    assert not [one for one in devices if "nvme" in one or "nvram" in one or one == "char-nv*"]
    allowed = lines(service(devices=devices), "DeviceAllow")
    assert "/dev/nvidia0 rw" in allowed
    assert "char-video4linux rw" in allowed
    assert "char-drm rw" in allowed


def test_a_jetsons_gpu_is_opened_by_its_own_names():
    """What CUDA on an Orin opens, printed on a machine that has none of it."""
    devices = gpu_devices([])
    assert {"/dev/nvmap", "/dev/host1x-fence", "/dev/nvgpu/igpu0/ctrl", "char-drm"} <= set(devices)
    assert "char-*.gpu" in devices  # in /proc/devices it is 17000000.gpu
    assert "/dev/host1x-new" in gpu_devices(["/dev/host1x-new"])


def test_a_first_engine_of_a_gpu_may_take_long_and_kernels_are_kept():
    made = service(gpu=True, name="door")
    assert lines(made, "TimeoutStartSec") == ["90min"]
    assert lines(service(), "TimeoutStartSec") == ["15min"]
    assert "CUDA_CACHE_PATH=%C/door/cuda" in lines(made, "Environment")
    assert "nvidia-persistenced.service" in lines(made, "After")[0].split()
    assert lines(service(), "After") == ["network.target"]


def test_csi_cameras_are_reached_in_the_systems_tmp_and_ours_is_elsewhere():
    """A bound socket would be a dead one after the daemon's first restart."""
    made = service(csi=True, gpu=True, name="door")
    assert lines(made, "PrivateTmp") == ["no"]
    assert lines(made, "ProtectSystem") == ["strict"]  # so that /tmp is read-only
    assert "TMPDIR=%t/door" in lines(made, "Environment")
    assert "nvargus-daemon.service" in lines(made, "After")[0].split()
    assert service(csi=True, reads=(Path("/tmp/b"),)).hidden == ()
    assert lines(service(gpu=True), "PrivateTmp") == ["yes"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "a b"},
        {"name": "../x"},
        {"name": ""},
        {"name": "a\nb"},
        {"name": "a@b"},
        {"user": "Edge"},
        {"user": "a\nExecStartPre=/bin/sh"},
        {"user": "%u"},
        {"credentials": ("a:b",)},
        {"credentials": ("a/b",)},
        {"credentials": ("..",)},
        {"credentials": ("a\nb",)},
        {"config": Path("/etc/a\nb.toml")},
        {"config": Path("/etc/$HOME.toml")},
        {"config": Path('/etc/"a.toml')},
        {"config": Path("/etc/a\\b.toml")},
        {"command": ("/opt/it's/edgeresnet",)},
    ],
)
def test_what_systemd_would_read_as_something_else_is_refused(wrong):
    with pytest.raises(UsageError):
        service(**wrong)


names = st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1, max_size=20)


@given(names)
def test_a_path_stays_one_word_of_one_line_or_is_refused(name):
    config = Path("/etc") / name
    try:
        made = service(config=config)
    except UsageError:
        return
    (start,) = lines(made, "ExecStart")
    *_, word = shlex.split(start)  # which reads quotes as systemd does
    assert word.replace("%%", "%") == str(config)
    assert "%" not in word.replace("%%", "")
    assert len(made.unit().splitlines()) == len(service().unit().splitlines())


@pytest.fixture
def systemd_analyze(tmp_path):
    """Calls it with a unit file, by its last argument's name."""
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")
    executable = tmp_path / "edge resnet"
    executable.write_text("#!/bin/sh\n")
    executable.chmod(0o755)

    def call(*arguments, **changes):
        made = service(command=(str(executable),), config=Path("/etc/a b%/c;d.toml"), **changes)
        file = tmp_path / "edgeresnet.service"
        file.write_text(made.unit(), encoding="utf-8")
        return subprocess.run(
            [program, *arguments, str(file)], capture_output=True, text=True, check=False
        )

    return call


ALL = {"credentials": ("door", "mqtt"), "groups": ("video", "render")}
GPU = {**ALL, "devices": gpu_devices(["/dev/nvidia0"]), "gpu": True}
CSI = {**GPU, "csi": True}


@pytest.mark.parametrize("changes", [{}, GPU, CSI], ids=["least", "gpu", "csi"])
def test_systemd_understands_every_line(systemd_analyze, changes):
    done = systemd_analyze("verify", "--man=no", **changes)
    told = [line for line in done.stderr.splitlines() if "Restart" not in line]  # of systemd 254
    assert done.returncode == 0
    assert not [line for line in told if "edgeresnet.service" in line]


@pytest.mark.parametrize("changes", [{}, GPU, CSI], ids=["least", "gpu", "csi"])
def test_systemd_finds_little_that_is_exposed(systemd_analyze, changes):
    done = systemd_analyze("security", "--offline=yes", "--threshold=25", "--no-pager", **changes)
    assert done.returncode == 0, done.stdout[-2000:]
