"""Shipped profiles can be read, the wheel is whole, and the repository stays small."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import edgeresnet
from edgeresnet.backends import BACKENDS
from edgeresnet.core.recipe import load_recipe, recipe_names
from edgeresnet.core.target import load_target, target_names

ROOT = Path(__file__).parents[2]
LARGEST = 5_000_000


@pytest.mark.parametrize("name", target_names())
def test_a_shipped_target_can_be_read_and_names_a_backend(name):
    target = load_target(name)
    assert target.backend in BACKENDS
    assert target.description


@pytest.mark.parametrize("name", recipe_names())
def test_a_shipped_recipe_can_be_read(name):
    assert load_recipe(name).name == name


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Names of the files in a wheel that was built just now."""
    pytest.importorskip("hatchling", reason="hatchling is not installed")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    assert edgeresnet.__version__ in built.name
    with zipfile.ZipFile(built) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_the_shipped_profiles(wheel):
    for folder in ("targets", "calibration"):
        for file in (ROOT / folder).rglob("*.toml"):
            assert f"edgeresnet/_shipped/{file.relative_to(ROOT).as_posix()}" in wheel


def test_the_wheel_holds_every_module_and_the_sample_network(wheel):
    for file in (ROOT / "edgeresnet").rglob("*.py"):
        assert file.relative_to(ROOT).as_posix() in wheel
    assert {"edgeresnet/demo/sample.safetensors", "edgeresnet/py.typed"} <= wheel


def test_the_wheel_holds_nothing_else(wheel):
    strange = [n for n in wheel if not n.startswith(("edgeresnet/", "edgeresnet-"))]
    assert not strange


def test_no_file_in_the_repository_is_large():
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    files = [ROOT / name for name in listed.stdout.split("\0") if name]
    large = [file for file in files if file.is_file() and file.stat().st_size > LARGEST]
    assert files
    assert not large


def test_the_constraints_pin_every_dependency():
    pinned = {
        line.partition("==")[0]
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if "==" in line
    }
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    section = text[text.index("dependencies = [") : text.index("[project.scripts]")]
    needed = {
        part.partition(">=")[0].lower()
        for part in section.replace("'", '"').split('"')
        if ">=" in part and "[" not in part
    }
    assert needed
    assert not needed - pinned


def test_the_scripts_of_the_repository_can_be_run():
    assert os.access(ROOT / ".ci/run", os.X_OK)
