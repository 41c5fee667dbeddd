"""Two benchmark reports side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def compare(now: Mapping[str, Any], before: Mapping[str, Any]) -> list[tuple[str, float, float]]:
    """Rows of (figure, before, now) that two benchmark reports share."""
    rows = []
    for name, path in {
        "end to end, frames/s": ("fps",),
        "engine, frames/s": ("engine", "fps"),
        "engine p50, ms": ("engine", "latency_ms", "p50"),
        "latency p50, ms": ("latency_ms", "p50"),
        "latency p99, ms": ("latency_ms", "p99"),
    }.items():
        values = []
        for report in (before, now):
            value: Any = report
            for key in path:
                value = value.get(key) if isinstance(value, Mapping) else None
            values.append(value)
        if all(isinstance(value, (int, float)) for value in values):
            rows.append((name, float(values[0]), float(values[1])))
    return rows
