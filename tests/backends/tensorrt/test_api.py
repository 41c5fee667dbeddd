"""What the fakes offer is what NVIDIA's bindings offer, version by version."""

import subprocess
import sys
from pathlib import Path

import pytest
from fake_surface import read_surface
from fake_trt import fake_tensorrt

ROOT = Path(__file__).parents[3]
TOOL = ROOT / "tools/tensorrt_api.py"
VERSIONS = ["8.6.1", "10.3.0", "10.13.3", "10.16.1", "11.0.0", "11.4.0", "rtx-1.7.1"]
READ_S = 120


@pytest.mark.tensorrt
def test_the_kept_surfaces_are_those_of_the_real_bindings(bindings):
    done = subprocess.run(
        [sys.executable, str(TOOL), "--check", str(bindings)],
        capture_output=True,
        text=True,
        timeout=READ_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_kept_surface_is_of_a_version_that_is_fetched():
    kept = {file.stem for file in (ROOT / "tests/golden/tensorrt_api").glob("*.txt")}
    assert kept == set(VERSIONS)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_fake_has_every_class_and_member_of_its_version(version):
    surface, trt = read_surface(version), fake_tensorrt(version)
    assert trt.__version__.startswith(version.removeprefix("rtx-"))
    assert not [name for name in surface.names if not hasattr(trt, name)]
    for path, members in surface.classes.items():
        owner = trt
        for part in path.split("."):
            owner = getattr(owner, part)
        for name in (*members.values, *members.properties, *members.calls):
            assert hasattr(owner, name), f"{path}.{name}"


@pytest.mark.parametrize(
    ("name", "has_it"),
    [
        ("NetworkDefinitionCreationFlag.EXPLICIT_BATCH", "8.6.1 10.3.0 10.13.3 10.16.1"),
        ("NetworkDefinitionCreationFlag.STRONGLY_TYPED", " ".join(VERSIONS[1:])),
        ("BuilderFlag.INT8", "8.6.1 10.3.0 10.13.3 10.16.1"),
        ("BuilderFlag.FP16", "8.6.1 10.3.0 10.13.3 10.16.1"),
        ("IBuilderConfig.progress_monitor", " ".join(VERSIONS[1:])),
        ("ParserError.node_name", " ".join(VERSIONS[1:])),
        ("ICudaEngine.num_bindings", "8.6.1"),
        ("ICudaEngine.num_io_tensors", " ".join(VERSIONS)),
    ],
)
def test_versions_differ_in_what_a_backend_has_to_know(name, has_it):
    owner, _, member = name.partition(".")
    found = [v for v in VERSIONS if hasattr(getattr(fake_tensorrt(v), owner), member)]
    assert found == has_it.split()
