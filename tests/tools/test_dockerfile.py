"""The image for Jetsons is built where one is at hand; here its text is held to the rules."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILE = ROOT / "tools/jetson/Dockerfile"


def instructions(text):
    """Name and arguments of each, comments left out and continued lines joined."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [tuple(line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]


TEXT = FILE.read_text(encoding="utf-8")
TOLD = instructions(TEXT)


def of(name):
    return [arguments for told, arguments in TOLD if told == name]


def test_hadolint_finds_nothing():
    here = Path(sys.executable).parent / "hadolint"
    hadolint = str(here) if here.exists() else shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("hadolint is not installed")
    done = subprocess.run([hadolint, "-"], input=TEXT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    wrong = TEXT.replace("--no-install-recommends", "").replace("USER 10001", "USER root")
    bad = subprocess.run([hadolint, "-"], input=wrong, capture_output=True, text=True, check=False)
    assert bad.returncode
    assert {"DL3015", "DL3002"} <= set(re.findall(r"DL\d+", bad.stdout))


def test_every_base_is_a_pinned_image_or_a_stage_made_of_one():
    defaults = dict(one.split("=", 1) for one in of("ARG"))
    stages = {}
    for arguments in of("FROM"):
        image, _, stage = arguments.partition(" AS ")
        stages[stage] = re.sub(r"\$\{(\w+)\}", lambda found: defaults[found[1]], image)
    for image in stages.values():
        if image not in stages:
            assert re.fullmatch(r"[\w./-]+:[\w.-]*\d[\w.-]*", image), image
    assert set(stages) == {"wheel", "jetpack6", "jetpack7", ""}
    assert re.search(r"l4t-tensorrt:r10\.3", stages["jetpack6"])  # that of JetPack 6.1 and 6.2


def test_it_does_not_run_as_root_and_takes_signals_itself():
    assert int(of("USER")[-1]) >= 1000
    for name in ("ENTRYPOINT", "CMD"):
        assert isinstance(json.loads(of(name)[-1]), list)
    assert json.loads(of("ENTRYPOINT")[-1]) + json.loads(of("CMD")[-1])[:1] == [
        "/opt/edgeresnet/bin/edgeresnet",
        "run",
    ]


def test_layers_keep_no_lists_and_no_caches():
    for run in of("RUN"):
        assert "apt-get" not in run or "rm -rf /var/lib/apt/lists/*" in run
        assert "pip install" not in run or "--no-cache-dir" in run
        assert "apt-get" not in run or "--no-install-recommends" in run


def test_tensorrt_comes_from_the_base_image():
    assert "--system-site-packages" in TEXT
    assert not re.search(r"pip install[^&]*tensorrt", TEXT)
    assert "/usr/bin/python3 -m venv" in TEXT  # the Python that the binding is made for


def test_what_it_copies_is_in_the_repository():
    copied = [word for one in of("COPY") if "--from" not in one for word in one.split()[:-1]]
    assert {"edgeresnet", "targets", "calibration", "pyproject.toml"} <= set(copied)
    for word in copied:
        assert (ROOT / word).exists(), word


def test_its_health_is_asked_where_the_web_page_answers():
    from edgeresnet.sinks.web.guard import OPEN

    (health,) = of("HEALTHCHECK")
    command = json.loads(health.partition("CMD ")[2])
    assert OPEN in command[-1]
    compile(command[-1], "health", "exec")
    port = re.search(r"127.0.0.1:(\d+)", command[-1])[1]
    assert of("EXPOSE") == [port]


def test_everything_that_is_written_is_in_the_volume():
    """Engines, caches and relative paths are in the one volume."""
    (volume,) = of("VOLUME")
    environment = " ".join(of("ENV"))
    assert f"XDG_CACHE_HOME={volume}/" in environment
    assert of("WORKDIR")[-1] == volume
