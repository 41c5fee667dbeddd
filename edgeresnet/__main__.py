"""``python -m edgeresnet``."""

from edgeresnet.cli import entry

entry()
