"""The tables of a comparison, from its ``compare.json``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

Row: TypeAlias = tuple[str, ...]
Table: TypeAlias = tuple[str, Row, list[Row]]
"""Title, head, rows."""
SHOWN_LAYERS = 12


def tables(report: Mapping[str, Any]) -> list[Table]:
    """Every table that ``report`` has figures for."""
    made = [_calibration(report), _fidelity(report), _runtimes(report), _accuracy(report)]
    if report["layers"]:
        made.append(_layers(report))
    return made


def _calibration(report: Mapping[str, Any]) -> Table:
    rows: list[Row] = [
        (leg["name"], f"{leg['seconds']:.1f}", _inside(leg), f"{leg['peak_mb']:.0f}")
        for leg in report["calibration"]
    ]
    title = (
        f"calibration, {report['settings']['samples']} pictures, one after another, each a process "
        "(ours: the whole command, reading JPEGs, its gate; peers: given fitted arrays)"
    )
    return title, ("quantizer", "seconds", "inside the quantizer", "peak MB"), rows


def _inside(leg: Mapping[str, Any]) -> str:
    return f"{leg['quantizer_seconds']:.1f}" if "quantizer_seconds" in leg else ""


def _fidelity(report: Mapping[str, Any]) -> Table:
    presets = report["settings"]["presets"]
    rows: list[Row] = [
        (
            model["name"],
            model["runtime"],
            f"{model['error']:.4f}",
            f"{model['pooled_error']:.4f}",
            f"{model['divergence']:.5f}",
            _estimate(model["agreement"]),
            *(_estimate(model["more_agreement"].get(preset)) for preset in presets),
        )
        for model in report["models"]
    ]
    settings = report["settings"]
    title = (
        f"\nagainst float on {settings['views']} views of {settings['sources']} sources "
        "(± standard error over sources; last columns: ours minus theirs, paired)"
    )
    head = ("quantizer", "runtime", "error", "pooled", "KL", "same label %")
    return title, (*head, *(f"- {preset}" for preset in presets)), rows


def _runtimes(report: Mapping[str, Any]) -> Table:
    rows: list[Row] = [(pair["name"], _estimate(pair["agreement"])) for pair in report["runtimes"]]
    return "\nOpenVINO against ONNX Runtime, the same graph", ("quantizer", "same label %"), rows


def _accuracy(report: Mapping[str, Any]) -> Table:
    exact = report["float"]
    rows: list[Row] = [
        ("float", exact["runtime"], _number(exact.get("top1")), "", _number(exact["ms"]))
    ]
    rows += [
        (
            model["name"],
            model["runtime"],
            _number(model.get("top1")),
            _interval(model.get("drop")),
            _number(model["ms"]),
        )
        for model in report["models"]
    ]
    settings = report["settings"]
    title = (
        f"\ntop-1 on {settings['labelled']} pictures, points lost against float (95 %), and median "
        "ms at batch 1"
    )
    return title, ("quantizer", "runtime", "top-1", "points lost", "ms"), rows


def _layers(report: Mapping[str, Any]) -> Table:
    worst = sorted(report["layers"], key=lambda layer: -layer["grown"])[:SHOWN_LAYERS]
    rows: list[Row] = [
        (
            layer["layer"],
            layer["kind"],
            *(f"{layer[key]:.4f}" for key in ("apart", "moved", "before", "in_block", "grown")),
        )
        for layer in worst
    ]
    means = []
    for kind in sorted({layer["kind"] for layer in report["layers"]}):
        grown = [layer["grown"] for layer in report["layers"] if layer["kind"] == kind]
        means.append(f"{kind} {sum(grown) / len(grown):+.4f} ({len(grown)})")
    pictures = report["settings"]["layer_pictures"]
    title = (
        f"\nlayers where ONNX Runtime and OpenVINO part most, {pictures} pictures (apart: in the "
        "whole graph; moved: OpenVINO's\nlogits, for being asked for this tensor: it fuses its "
        "rounding away; in block: from the same block input;\n"
        f"grown: by the layer itself; mean: {', '.join(means)})"
    )
    head = ("layer", "kind", "apart", "moved", "before", "in block", "grown")
    return title, head, rows


def _estimate(estimate: Mapping[str, float | None] | None) -> str:
    if estimate is None:
        return ""
    error = estimate["error"]
    return f"{estimate['value']:.2f}" + (f" ± {error:.2f}" if error is not None else "")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _interval(drop: Mapping[str, float] | None) -> str:
    return "" if drop is None else f"{drop['value']:.2f} ({drop['low']:.2f} to {drop['high']:.2f})"
