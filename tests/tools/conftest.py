"""Tools import each other by name, as they do when they are run."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))


@pytest.fixture(autouse=True)
def _small_numbers_stay():
    """Training flushes them to zero, in the whole process."""
    yield
    import torch

    torch.set_flush_denormal(False)
