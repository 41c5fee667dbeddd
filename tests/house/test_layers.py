"""Imports point down only, and a vendor's package is imported in its own folder only."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "edgeresnet"
LAYERS = (
    {"cli"},
    {"deploy", "demo"},
    {"convert", "quantize", "compile", "run", "evaluate", "benchmark"}
    | {"fetch", "doctor", "inspect"},
    {"flow", "metrics", "datasets", "match"},
    {"backends", "sources", "tasks", "sinks"},
    {"core"},
)
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}
MIDDLE = LAYERS[3]
"""Those may import each other; a test further down keeps them free of cycles."""
HOMES = {
    "onnxruntime": ("backends/onnxruntime/",),
    "openvino": ("backends/openvino/",),
    "tensorrt": ("backends/tensorrt/",),
    "torch": ("convert/",),
    "safetensors": ("convert/",),
    "faster_coco_eval": ("metrics/coco_evaluator.py",),
    "onnx": (
        "core/contract.py",
        "convert/",
        "quantize/",
        "compile/",
        "match/",
        "inspect/",
        "backends/onnxruntime/compiler.py",
        "backends/openvino/compiler.py",
        "backends/onnxruntime/halves.py",
        "backends/tensorrt/onnx_types.py",
        "backends/tensorrt/typed.py",
    ),
}
DEVICE = ("core/", "flow/", "sources/", "sinks/", "tasks/", "run/", "cli/", "backends/")
HOST_PACKAGES = {"torch", "safetensors", "onnx"}
HOST_MODULES = tuple(home for home in HOMES["onnx"] if home.startswith("backends/"))
LONGEST = 300
SYNTAX = (3, 10)  # of the device; JetPack 6 has no newer Python


def place(path):
    return path.relative_to(ROOT).as_posix()


MODULES = sorted(ROOT.rglob("*.py"))
names = pytest.mark.parametrize("path", MODULES, ids=place)


def parsed(path):
    return ast.parse(path.read_text(encoding="utf-8"), feature_version=SYNTAX)


def imported(tree, *, at_load_only=False):
    """Full names of the modules that a tree imports; those for type checkers do not count."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            yield node.module
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and at_load_only:
            continue
        elif not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)):
            yield from imported(node, at_load_only=at_load_only)


@names
def test_imports_point_down(path):
    here = path.relative_to(ROOT).parts[0]
    if here.endswith(".py") or here == "testing":  # the first hand out names of the stages
        return
    assert here in RANK, f"{here}/ is in no layer: say which"
    for module in imported(parsed(path)):
        top, *rest = module.split(".")
        if top == "edgeresnet" and rest and rest[0] != here:
            there = rest[0]
            assert there in RANK, f"{module} is for tests and users only"
            beside = {here, there} <= MIDDLE
            assert beside or RANK[there] > RANK[here], f"{here} imports {module}"


def test_the_folders_of_the_middle_layer_import_each_other_in_one_direction():
    edges = {
        (path.relative_to(ROOT).parts[0], module.split(".")[1])
        for path in MODULES
        for module in imported(parsed(path))
        if module.startswith("edgeresnet.")
    }
    inside = {(a, b) for a, b in edges if a != b and {a, b} <= MIDDLE}
    for _ in MIDDLE:
        inside |= {(a, d) for a, b in inside for c, d in inside if b == c}
    assert not [edge for edge in inside if edge[0] == edge[1]]


@names
def test_a_vendor_package_is_imported_in_its_own_folder(path):
    for module in imported(parsed(path)):
        homes = HOMES.get(module.split(".")[0])
        assert homes is None or place(path).startswith(homes), module


@pytest.mark.parametrize(
    "path",
    [p for p in MODULES if place(p).startswith(DEVICE) and place(p) not in HOST_MODULES],
    ids=place,
)
def test_the_device_part_loads_without_the_hosts_packages(path):
    loaded = {module.split(".")[0] for module in imported(parsed(path), at_load_only=True)}
    assert not loaded & HOST_PACKAGES


@names
def test_a_module_says_what_it_is_for_in_its_first_line(path):
    doc = ast.get_docstring(parsed(path))
    assert doc is not None
    assert doc.splitlines()[0].strip()


@names
def test_no_module_is_too_long_to_hold_one_idea(path):
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= LONGEST
