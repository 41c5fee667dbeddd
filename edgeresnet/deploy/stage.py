"""Checkpoint to bundle in one call."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeresnet.compile.stage import CompileReport, check_bundle_output, compile_graph
from edgeresnet.convert.stage import ConvertReport, convert
from edgeresnet.core.progress import Progress, silent
from edgeresnet.core.target import load_target
from edgeresnet.quantize.report import QuantizeReport
from edgeresnet.quantize.stage import quantize


@dataclass(frozen=True)
class DeployReport:
    """The three stages' reports."""

    converted: ConvertReport
    quantized: QuantizeReport
    compiled: CompileReport


def deploy(
    weights: Path | str,
    out: Path | str,
    *,
    images: Path | str,
    target: str,
    convert_options: Mapping[str, Any] | None = None,
    quantize_options: Mapping[str, Any] | None = None,
    force: bool = False,
    progress: Progress = silent,
) -> DeployReport:
    """Convert ``weights``, quantize with ``images`` and compile for ``target`` into ``out``.

    The pictures also check the preprocessing against the training. The graphs in between are
    dropped; the bundle's evidence tells of them. ``force`` replaces an earlier bundle and opens no
    gate: to go on past one, take the three stages one by one.
    """
    out = check_bundle_output(Path(out), force=force)
    load_target(target)
    with tempfile.TemporaryDirectory(prefix="edgeresnet-") as scratch:
        graph, int8 = Path(scratch) / "graph.onnx", Path(scratch) / "graph.int8.onnx"
        converted = convert(
            weights,
            graph,
            images=images,
            progress=progress,
            **(convert_options or {}),
        )
        quantized = quantize(
            graph,
            int8,
            images=images,
            target=target,
            progress=progress,
            **(quantize_options or {}),
        )
        compiled = compile_graph(int8, out, target=target, force=force, progress=progress)
    return DeployReport(converted, quantized, compiled)
