"""Public names are documented, and the ones that scripts rely on are there."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest

from edgeresnet.cli import COMMANDS, main

ROOT = Path(__file__).parents[2] / "edgeresnet"
MODULES = sorted(ROOT.rglob("*.py"))
SAID_BY_THE_CLASS = ("core/protocols.py", "convert/networks/")
HEAVY = {"torch", "onnx", "onnxruntime", "openvino", "numpy", "cv2", "av", "pydantic", "rich"}
WIDEST = 100
SHARED_OPTIONS = {"--json", "--force", "--debug", "-q"}


def place(path):
    return path.relative_to(ROOT).as_posix()


def undocumented(body, *, methods):
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            if node.name.startswith("_"):
                continue
            if ast.get_docstring(node) is None:
                yield node.name
            if isinstance(node, ast.ClassDef) and methods:
                yield from (f"{node.name}.{n}" for n in undocumented(node.body, methods=True))


@pytest.mark.parametrize("path", MODULES, ids=place)
def test_every_public_name_has_a_docstring(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    methods = not place(path).startswith(SAID_BY_THE_CLASS)
    assert not list(undocumented(tree.body, methods=methods))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_an_example_and_the_shared_options(name):
    command = import_module(f"edgeresnet.cli.{name}").command
    assert isinstance(command, click.Command)
    assert command.help
    assert (command.epilog or "").startswith("Example")
    assert f"edgeresnet {name}" in command.epilog
    options = {spelling for parameter in command.params for spelling in parameter.opts}
    assert options >= SHARED_OPTIONS


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_shown_in_lines_that_fit_a_terminal(name, capsys):
    assert main([name, "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"Usage: edgeresnet {name}")
    assert max(map(len, lines)) <= WIDEST


def test_the_five_python_names_stay_functions_when_their_folders_are_imported():
    code = (
        "import edgeresnet, edgeresnet.convert.stage, edgeresnet.quantize.stage,"
        " edgeresnet.compile.stage, edgeresnet.evaluate.stage, edgeresnet.run.model\n"
        "import inspect\n"
        "for name in ('convert', 'quantize', 'compile_graph', 'evaluate', 'open'):\n"
        "    assert inspect.isfunction(getattr(edgeresnet, name)), name\n"
        "    assert name in edgeresnet.__all__, name\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["targets", "--help"]])
def test_help_is_quick_since_it_imports_nothing_heavy(arguments):
    code = (
        "import sys\n"
        "from edgeresnet.cli import main\n"
        f"assert main({arguments!r}) == 0\n"
        f"loaded = {sorted(HEAVY)!r}\n"
        "print('loaded:', *(name for name in loaded if name in sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1].split() == ["loaded:"]
