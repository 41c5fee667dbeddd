"""What ``quantize`` made and found, for people and for scripts."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import edgeresnet
from edgeresnet.core.artifacts import Graph
from edgeresnet.core.contract import onnx_package
from edgeresnet.core.files import whole_file
from edgeresnet.flow.advise import Advice
from edgeresnet.quantize.budget import Budgeted
from edgeresnet.quantize.calibration import Calibration
from edgeresnet.quantize.emit import Emitter
from edgeresnet.quantize.flips import Flip
from edgeresnet.quantize.gate import Gate
from edgeresnet.quantize.judge import Verdict
from edgeresnet.quantize.layers import LayerNoise
from edgeresnet.quantize.ranges import Range, clipped
from edgeresnet.quantize.sensitivity import LayerSensitivity
from edgeresnet.quantize.statistics import BINS, TensorStatistics
from edgeresnet.quantize.thumbnails import thumbnail

_SHOWN_FLIPS = 24
_BARS = 64


@dataclass(frozen=True, eq=False)
class QuantizeReport:
    """An INT8 graph, and the evidence for it."""

    graph: Graph
    """As written; its digest is empty where the budget refused to write it."""
    target: str | None
    emitter: Emitter
    calibration: Calibration
    verdict: Verdict | None
    """None where there were no pictures to judge with."""
    worst_layers: tuple[LayerNoise, ...]
    sensitivity: tuple[LayerSensitivity, ...]
    """Measured when the budget asked for it."""
    budgeted: Budgeted | None
    """What the budget took, where INT8 everywhere was outside."""
    training_match: str
    unreadable: Mapping[Path, str]
    notes: tuple[str, ...]
    advice: Advice | None = None

    @property
    def gate(self) -> Gate | None:
        """The verdict's."""
        return None if self.verdict is None else self.verdict.gate

    @property
    def calibration_pictures(self) -> int:
        """How many were seen."""
        return len(self.calibration.digests)

    def as_json(self, *, thumbnails: bool = False) -> dict[str, Any]:
        """Everything, in the form that the HTML page is made from."""
        evidence = self.graph.evidence
        flips = () if self.verdict is None else self.verdict.flips
        macs = sum(layer.macs for layer in self.sensitivity)
        return {
            "schema": 1,
            "graph": str(self.graph.path),
            "sha256": self.graph.sha256,
            "task": self.graph.task,
            "scheme": self.graph.scheme.value,
            "target": self.target,
            "made_with": {
                "edgeresnet": edgeresnet.__version__,
                "python": platform.python_version(),
            },
            "recipe": self.emitter.recipe.model_dump(mode="json"),
            "calibration": {
                **evidence["calibration"],
                "seconds": round(self.calibration.seconds, 2),
                "convergence": self.calibration.convergence.as_json(),
            },
            "training_match": self.training_match,
            "accuracy": evidence["accuracy"],
            "logit_error": None if self.verdict is None else round(self.verdict.logit_error, 5),
            "tensors": self._tensors(),
            "layers": self._layers(),
            "equalization": [done.as_json() for done in self.calibration.equalized],
            "sensitivity": [layer.as_json(macs) for layer in self.sensitivity],
            "budget": None if self.budgeted is None else self.budgeted.as_json(),
            "flips": [self._flip(flip, thumbnails) for flip in flips[:_SHOWN_FLIPS]],
            "flips_total": len(flips),
            "advice": None if self.advice is None else self.advice.as_json(),
            "worst_layers": [
                {"layer": n.layer, "snr_db": round(n.snr_db, 2), "lost_db": round(n.lost_db, 2)}
                for n in self.worst_layers[:10]
            ],
            "unreadable": {str(path): why for path, why in self.unreadable.items()},
            "notes": list(self.notes),
        }

    def _flip(self, flip: Flip, with_picture: bool) -> dict[str, Any]:
        told = flip.as_json(self.graph.labels)
        return {**told, "jpeg": thumbnail(flip)} if with_picture else told

    def _tensors(self) -> list[dict[str, Any]]:
        emitter = self.emitter
        readers: dict[str, list[str]] = {}
        for tensor, node in sorted(emitter.placement(self._returned).edges):
            readers.setdefault(tensor, []).append(node)
        ranges = emitter.ranges()
        return [
            {
                "name": name,
                "read_by": reading,
                "method": emitter.methods.get(name, emitter.recipe.method).value,
                **_seen(emitter.statistics[name], ranges[name]),
            }
            for name, reading in readers.items()
            if name in emitter.statistics
        ]

    def _layers(self) -> list[dict[str, Any]]:
        quantized = self.emitter.placement(self._returned).weighted
        noise = {layer.layer: layer for layer in self.worst_layers}
        macs = {layer.layer: layer.macs for layer in self.sensitivity}
        weights = {w.name: w for w in self.emitter.model.graph.initializer}
        return [
            {
                "name": node.name,
                "op": node.op_type,
                "precision": "int8" if node.name in quantized else "float",
                "snr_db": round(noise[node.name].snr_db, 2),
                "lost_db": round(noise[node.name].lost_db, 2),
                "channel_spread": _spread(weights.get(node.input[1])),
                **({"macs": macs[node.name]} if node.name in macs else {}),
            }
            for node in self.emitter.model.graph.node
            if node.name in noise
        ]

    @property
    def _returned(self) -> tuple[str, ...]:
        return () if self.budgeted is None else self.budgeted.returned


def write_page(report: QuantizeReport, path: Path) -> None:
    """Write one self-contained HTML file, and the JSON that it shows beside it."""
    from edgeresnet.quantize.page.document import page

    told = report.as_json(thumbnails=True)
    with whole_file(path) as temporary:
        temporary.write_text(page(told), encoding="utf-8")
    with whole_file(path.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps(report.as_json(), indent=1), encoding="utf-8")


def _spread(weight: Any) -> float | None:
    """Largest range of an output channel's weights by the smallest; None where there is none."""
    if weight is None:
        return None
    array = onnx_package().numpy_helper.to_array(weight)
    ranges = np.abs(array.reshape(array.shape[0], -1)).max(1)
    alive = ranges[ranges > 0]
    return round(float(alive.max() / alive.min()), 1) if len(alive) else None


def _seen(found: TensorStatistics, chosen: Range) -> dict[str, Any]:
    low, high = min(found.low, 0.0), max(found.high, 1e-12)
    bins = np.floor(np.linspace(low, high, _BARS + 1) * (BINS / 2 / found.reach)) + BINS // 2
    edges = np.clip(bins, 0, BINS).astype(int)
    counts = np.add.reduceat(np.append(found.counts, 0), edges[:-1]) * (np.diff(edges) > 0)
    return {
        "low": low,
        "high": high,
        "range": list(chosen.bounds),
        "clipped": clipped(found, chosen),
        "counts": [int(count) for count in counts],
    }
