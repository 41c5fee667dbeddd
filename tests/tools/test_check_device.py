"""What pip would install on an ARM board is found out here, and what must not be there is named."""

import base64
import hashlib
import sys
import zipfile
from pathlib import Path

import pytest

from edgeresnet.core.errors import MissingBackendError

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

from device import board, built, floor
from device.board import BOARDS, Board, Package, Unresolvable

JETPACK_6 = Board("JetPack 6", "3.10", 35)
JETPACK_7 = Board("JetPack 7", "3.12", 35)


@pytest.fixture
def index(tmp_path, monkeypatch):
    """Makes wheels in a folder that is all that pip can see."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")

    def make(name, *needs, tag="py3-none-any", size=0, extra=None):
        info = f"{name}-1.0.dist-info"
        lines = [f"Requires-Dist: {need}" for need in needs]
        if extra:
            lines += [f"Provides-Extra: {extra[0]}"]
            lines += [f'Requires-Dist: {extra[1]}; extra == "{extra[0]}"']
        files = {
            f"{name}.py": b"#" * size,
            f"{info}/METADATA": "\n".join(
                ["Metadata-Version: 2.1", f"Name: {name}", "Version: 1.0", *lines, ""]
            ).encode(),
            f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n".encode(),
        }
        record = ""
        for place, body in files.items():
            told = base64.urlsafe_b64encode(hashlib.sha256(body).digest()).rstrip(b"=").decode()
            record += f"{place},sha256={told},{len(body)}\n"
        wheel = tmp_path / f"{name}-1.0-{tag}.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            for place, body in (*files.items(), (f"{info}/RECORD", record.encode())):
                archive.writestr(place, body)
        return wheel

    return make


def names(packages):
    return [one.name for one in packages]


def test_tags_and_markers_are_the_boards_not_this_machines(index):
    ours = index(
        "ours",
        "fast",
        'old; python_version < "3.11"',
        'intel; platform_machine == "x86_64"',
        'arm; platform_machine == "aarch64"',
    )
    for tag in ("cp310-cp310-manylinux_2_35_aarch64", "cp312-cp312-manylinux2014_aarch64"):
        index("fast", tag=tag)
    index("fast", tag="cp311-cp311-manylinux_2_17_x86_64")
    for name in ("old", "intel", "arm"):
        index(name)
    six = board.resolve(JETPACK_6, ours, "", newest=True)
    assert names(six) == ["arm", "fast", "old"]
    assert six[1].tag == "manylinux_2_35_aarch64"
    seven = board.resolve(JETPACK_7, ours, "", newest=True)
    assert names(seven) == ["arm", "fast"]
    assert seven[1].tag == "manylinux2014_aarch64"


@pytest.mark.parametrize(
    "tag", ["cp310-cp310-manylinux_2_39_aarch64", "cp310-cp310-manylinux_2_17_x86_64"]
)
def test_a_package_without_a_wheel_for_the_board_is_named(index, tag):
    ours = index("ours", "fast")
    index("fast", tag=tag)
    with pytest.raises(Unresolvable, match="fast"):
        board.resolve(JETPACK_6, ours, "", newest=True)


def test_an_extra_brings_its_packages_and_what_must_not_be_there_is_named(index):
    ours = index("ours", "numpyish", extra=("gpu", "wrapper"))
    index("numpyish")
    index("wrapper", "torch", "nvidia_cudnn_cu13", "onnxish")
    for name in ("torch", "nvidia_cudnn_cu13", "onnxish"):
        index(name)
    base = board.resolve(JETPACK_6, ours, "", newest=True)
    assert names(base) == ["numpyish"]
    assert board.forbidden(base) == []
    whole = board.resolve(JETPACK_6, ours, "gpu", newest=True)
    assert board.forbidden(whole) == ["nvidia-cudnn-cu13", "torch"]


def test_wheels_are_fetched_once(index, tmp_path):
    ours = index("ours", "one", "two")
    index("one", size=1000)
    index("two")
    there = tmp_path / "there"
    there.mkdir()
    found = board.resolve(JETPACK_6, ours, "", newest=True)
    board.fetch(JETPACK_6, found, there)
    assert {one.file for one in found} == {file.name for file in there.iterdir()}
    (tmp_path / "one-1.0-py3-none-any.whl").unlink()
    board.fetch(JETPACK_6, found, there)  # needs nothing of the index


def test_without_an_index_it_is_a_missing_thing_not_a_broken_board(index, monkeypatch):
    ours = index("ours", "fast")
    monkeypatch.setenv("PIP_NO_INDEX", "0")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(MissingBackendError, match="index") as caught:
        board.resolve(JETPACK_6, ours, "", newest=True)
    assert caught.value.exit_code == 3


def test_a_wheel_that_lacks_what_the_checkout_ships_is_found(index):
    missing = built.missing(index("edgeresnet"))
    assert any("_shipped/targets/" in one for one in missing)
    assert any("_shipped/calibration/" in one for one in missing)
    assert any("edgeresnet/cli/run.py" in one for one in missing)


def test_the_boards_are_those_of_the_device_part():
    assert {one.python for one in BOARDS} >= {"3.10", "3.12"}
    assert all("manylinux_2_35_aarch64" in one.pip for one in BOARDS)
    assert min((one.python for one in BOARDS), key=lambda told: int(told[2:])) == floor.OLDEST


def test_a_package_is_known_by_the_oldest_platform_of_its_wheel():
    file = "psutil-7.2.2-cp36-abi3-manylinux2014_aarch64.manylinux_2_28_aarch64.whl"
    assert Package("psutil", "7.2.2", file).tag == "manylinux2014_aarch64"
