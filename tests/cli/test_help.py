"""Every command explains itself without loading what it will need."""

import subprocess
import sys
from importlib import import_module

import pytest

from edgeresnet.cli import COMMANDS

HEAVY = ("av", "cv2", "numpy", "onnx", "onnxruntime", "openvino", "pydantic", "rich", "torch")
EVERY_HELP = """
import sys
from edgeresnet.cli import COMMANDS, main
for command in COMMANDS:
    assert main([command, "--help"]) == 0
print("loaded:", *(name for name in sys.argv[1:] if name in sys.modules))
"""


@pytest.mark.parametrize("name", COMMANDS)
def test_help_names_every_option_and_shows_an_example(edgeresnet, name):
    told = edgeresnet(name, "--help")
    assert told.code == 0
    assert told.err == ""
    command = import_module(f"edgeresnet.cli.{name}").command
    for parameter in command.params:
        for spelling in parameter.opts:
            if spelling.startswith("-"):
                assert f" {spelling}" in told.out, spelling
    assert "Example" in told.out
    assert f"edgeresnet {name}" in told.out.partition("Example")[2]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_does(name):
    command = import_module(f"edgeresnet.cli.{name}").command
    for parameter in command.params:
        if parameter.param_type_name == "option":
            assert parameter.help, parameter.name


def test_no_help_imports_anything_heavy():
    done = subprocess.run(
        [sys.executable, "-c", EVERY_HELP, *HEAVY], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1].split() == ["loaded:"]


def test_the_module_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "edgeresnet", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    import edgeresnet

    assert done.stdout.strip() == f"edgeresnet, version {edgeresnet.__version__}"
