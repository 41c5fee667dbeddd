"""The peers' own Python environment, made once and stamped with what is in it."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

CONSTRAINTS = Path(__file__).parents[2] / "constraints.txt"
_AS_PINNED = ("onnx", "onnxruntime", "numpy")
"""What the peers take in our versions; the rest is theirs, or their pins and ours would clash."""
_STAMP = "compare-quantizers.json"


def requirements() -> tuple[str, ...]:
    """What pip is asked for: NNCF, and the runtime that judges here."""
    return ("nncf==3.4.0", f"openvino=={version('openvino')}", *_AS_PINNED)


def pins(text: str) -> tuple[str, ...]:
    """The lines of a constraints file that bind the peers too, markers included."""
    return tuple(line for line in text.splitlines() if line.partition("==")[0] in _AS_PINNED)


def prepare(folder: Path) -> Path:
    """The interpreter of the environment at ``folder``, made where it is not there as asked for."""
    python = folder / "bin" / "python"
    stamp = folder / _STAMP
    bound = pins(CONSTRAINTS.read_text(encoding="utf-8"))
    asked = json.dumps({"requirements": requirements(), "constraints": bound})
    if python.exists() and stamp.exists() and stamp.read_text(encoding="utf-8") == asked:
        return python
    print(f"making the peers' environment in {folder}", file=sys.stderr, flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    limits = folder / "constraints.txt"
    limits.write_text("\n".join(bound) + "\n", encoding="utf-8")
    pip = [str(python), "-m", "pip", "install", "--quiet", "--constraint", str(limits)]
    subprocess.run([*pip, *requirements()], check=True)
    stamp.write_text(asked, encoding="utf-8")  # last: an install that was cut off has none
    return python
