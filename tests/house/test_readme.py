"""What the README types and quotes is what the code takes."""

import ast
import re
import shlex
from importlib import import_module
from pathlib import Path

import click
import pytest

import edgeresnet
from edgeresnet.cli import COMMANDS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
TYPED = [
    line.strip()
    for text in (
        *(body for kind, body in BLOCKS if kind in ("", "sh", "bash", "console")),
        *re.findall(r"`(edgeresnet [^`]+)`", README),
    )
    for line in text.splitlines()
    if line.strip().startswith("edgeresnet ")
]
TYPED += re.findall(r"^\S+/bin/(edgeresnet [^|\n]+)", README, re.MULTILINE)
LINKED = re.findall(r"\]\((?!https?://|#)([^)]+)\)", README)


def known(command):
    return {
        spelling
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for spelling in (*parameter.opts, *parameter.secondary_opts)
    }


def test_every_command_is_shown():
    words = set(re.findall(r"[a-z]+", README))
    assert not set(COMMANDS) - words


@pytest.mark.parametrize("line", TYPED)
def test_a_command_that_is_shown_is_taken(line):
    _, name, *arguments = shlex.split(line, comments=True)
    assert name in COMMANDS
    command = import_module(f"edgeresnet.cli.{name}").command
    options = {a.partition("=")[0] for a in arguments if re.match(r"--?[a-z]", a)}
    assert not options - known(command)


@pytest.mark.parametrize("option", sorted(set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", README))))
def test_an_option_that_is_named_exists(option):
    commands = (import_module(f"edgeresnet.cli.{name}").command for name in COMMANDS)
    others = {"--extra-index-url", "--no-deps", "--system-site-packages"}  # of pip and venv
    assert option in others or any(option in known(command) for command in commands)


def test_the_python_that_is_shown_uses_public_names_only():
    python = [ast.parse(body) for kind, body in BLOCKS if kind == "python"]
    used = {
        node.attr
        for tree in python
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "edgeresnet"
    }
    assert used
    assert used <= set(edgeresnet.__all__)


def test_every_make_target_that_is_shown_exists():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    shown = set(re.findall(r"`make (\w+)|^make (\w+)", README, re.MULTILINE))
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    assert {a or b for a, b in shown} <= targets


@pytest.mark.parametrize("link", LINKED or ["README.md"])
def test_a_file_that_is_linked_exists(link):
    assert (ROOT / link.partition("#")[0]).exists()
