"""What the tool that asks torchvision and these tests have in common is a tool's module."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "tools"))
