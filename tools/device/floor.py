"""The base package alone on the oldest Python of the device part, really installed and used."""

import json
import os
import shutil
import subprocess
from pathlib import Path

from device.board import CONSTRAINTS

OLDEST = "3.10"
HOST = (
    *("edgeresnet.convert.", "edgeresnet.quantize.", "edgeresnet.match.", "edgeresnet.compile."),
    *("edgeresnet.deploy.", "edgeresnet.demo."),
    *("edgeresnet.backends.onnxruntime.", "edgeresnet.backends.openvino."),
)
"""Parts of the host, and of runtimes that an extra brings: their packages are not there."""
_COMMANDS = (("--help",), ("targets",), ("service", "--print", "-q"))
_IMPORT = """
import importlib, json, pathlib, sys
import edgeresnet
top = pathlib.Path(edgeresnet.__file__).parent
host, broken, count = tuple(sys.argv[1:]), {}, 0
for file in sorted(top.rglob("*.py")):
    parts = ("edgeresnet", *file.relative_to(top).with_suffix("").parts)
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    if parts[-1] in ("__main__", "compiler", "typed") or f"{name}.".startswith(host):
        continue
    try:
        importlib.import_module(name)
        count += 1
    except Exception as error:
        broken[name] = f"{type(error).__name__}: {error}"
loaded = sorted({"torch", "onnx", "safetensors"} & set(sys.modules))
print(json.dumps({"count": count, "broken": broken, "loaded": loaded}))
"""


def interpreter() -> str | None:
    """A Python of that version which runs and makes environments, on PATH or in pyenv's folder."""
    places = (
        Path(os.environ.get("PYENV_ROOT", "~/.pyenv"))
        .expanduser()
        .glob(f"versions/{OLDEST}.*/bin/python{OLDEST}")
    )
    for python in (shutil.which(f"python{OLDEST}"), *map(str, sorted(places))):
        if python is not None:
            probe = [python, "-c", "import venv, ensurepip"]
            if not subprocess.run(probe, check=False, capture_output=True).returncode:
                return python
    return None


def use(python: str, wheel: Path, place: Path) -> tuple[str, list[str]]:
    """Install ``wheel`` there, type commands, import the device part: what was done, what broke."""
    _run([python, "-m", "venv", str(place)])
    inside = str(place / "bin/python")
    pip = [
        inside,
        "-m",
        "pip",
        "install",
        "-q",
        "--disable-pip-version-check",
        "--only-binary=:all:",
    ]
    done = _run([*pip, "-c", str(CONSTRAINTS), str(wheel)])
    if done.returncode:
        return "not installed", [f"Python {OLDEST}: {done.stderr.strip()}"]
    broken = []
    for arguments in _COMMANDS:
        done = _run([str(place / "bin/edgeresnet"), *arguments])
        if done.returncode:
            typed = " ".join(("edgeresnet", *arguments))
            broken.append(f"Python {OLDEST}: {typed}: exit {done.returncode}: {done.stderr[-500:]}")
    done = _run([inside, "-c", _IMPORT, *HOST])
    if done.returncode:
        return "imports failed", [*broken, f"Python {OLDEST}: {done.stderr[-500:]}"]
    found = json.loads(done.stdout)
    broken += [f"Python {OLDEST}: import {name}: {what}" for name, what in found["broken"].items()]
    broken += [f"Python {OLDEST}: {name} was loaded" for name in found["loaded"]]
    ran = ", ".join(" ".join(one) for one in _COMMANDS)
    return f"{found['count']} modules imported; ran {ran}", broken


def _run(command: list[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd="/")
