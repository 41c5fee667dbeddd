"""A package that an extra brings is asked for by name."""

import json
import subprocess
import sys

import pytest

from edgeresnet.cli import EXTRAS

WITHOUT = """
import sys
sys.modules[sys.argv.pop(1)] = None
from edgeresnet.cli import main
sys.exit(main())
"""


@pytest.mark.parametrize("package", ["torch", "onnx"])
def test_a_missing_package_is_exit_3_with_the_pip_line(package, sample_weights, tmp_path):
    out = str(tmp_path / "out.onnx")
    arguments = [package, "convert", str(sample_weights), "-o", out, "--json"]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 3
    error = json.loads(done.stdout)["error"]
    assert error["kind"] == "MissingBackendError"
    assert error["hint"] == f"pip install 'edgeresnet[{EXTRAS[package]}]'"
