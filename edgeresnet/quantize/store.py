"""What calibration found, kept beside the float graph so that it need not be found twice."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeresnet.core.errors import UsageError
from edgeresnet.core.files import whole_file
from edgeresnet.quantize.calibration import Calibration, Convergence
from edgeresnet.quantize.equalize import Equalized, streams
from edgeresnet.quantize.statistics import Floats, TensorStatistics

if TYPE_CHECKING:
    import onnx

_SCHEMA = 1
_ARRAYS = ("lows", "highs", "peaks", "sums", "squares", "counts")
_NUMBERS = ("pictures", "values", "reach")


def calibration_file(graph: Path) -> Path:
    """Where the calibration of a float graph is kept."""
    return graph.with_suffix(".calibration.npz")


def save(calibration: Calibration, graph_sha256: str, path: Path) -> None:
    """Write ``calibration`` of the float graph with that digest; whole or not at all."""
    names = list(calibration.statistics)
    about = {
        "schema": _SCHEMA,
        "graph_sha256": graph_sha256,
        "tensors": names,
        "digests": list(calibration.digests),
        "equalized": [
            {"stream": done.stream.name, "before": done.before, "after": done.after}
            for done in calibration.equalized
        ],
        "convergence": calibration.convergence.as_json(),
        "seconds": calibration.seconds,
        "may_equalize": calibration.may_equalize,
    }
    arrays: dict[str, Any] = {"about": np.frombuffer(json.dumps(about).encode(), np.uint8)}
    for i, found in enumerate(calibration.statistics.values()):
        arrays |= {f"{name}.{i}": getattr(found, name) for name in _ARRAYS}
        arrays[f"numbers.{i}"] = np.array([getattr(found, name) for name in _NUMBERS], np.float64)
    for i, done in enumerate(calibration.equalized):
        arrays[f"factors.{i}"] = done.factors
    with whole_file(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)


def load(path: Path, model: onnx.ModelProto, graph_sha256: str) -> Calibration:
    """Read what :func:`save` wrote for the same float graph; anything else is an error."""
    again = "pass --images to calibrate again"
    try:
        found = _read(path, model, graph_sha256)
    except Exception as error:  # zipfile, zlib and NumPy's parser raise whatever they stumble on
        raise UsageError(f"{path} is damaged: {error}", hint=again) from error
    if found is None:
        raise UsageError(
            f"{path} holds the calibration of another graph, or of another edgeresnet", hint=again
        )
    return found


def _read(path: Path, model: onnx.ModelProto, graph_sha256: str) -> Calibration | None:
    """None where it is of another graph, or written otherwise."""
    with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
        about = json.loads(stored["about"].tobytes())
        if about["schema"] != _SCHEMA or about["graph_sha256"] != graph_sha256:
            return None
        statistics = {
            name: TensorStatistics(
                **{array: stored[f"{array}.{i}"] for array in _ARRAYS},
                **_numbers(stored[f"numbers.{i}"]),
            )
            for i, name in enumerate(about["tensors"])
        }
        factors = [stored[f"factors.{i}"] for i in range(len(about["equalized"]))]
    known = {stream.name: stream for stream in streams(model)}
    looks = about["convergence"]
    return Calibration(
        statistics=statistics,
        equalized=tuple(
            Equalized(known[told["stream"]], values, told["before"], told["after"])
            for told, values in zip(about["equalized"], factors, strict=True)
        ),
        digests=tuple(about["digests"]),
        convergence=Convergence(
            tuple(looks["pictures"]), tuple(looks["change"]), tuple(looks["unsettled"])
        ),
        seconds=about["seconds"],
        may_equalize=about["may_equalize"],
    )


def _numbers(values: Floats) -> dict[str, Any]:
    pictures, count, reach = (float(value) for value in values)
    return {"pictures": int(pictures), "values": int(count), "reach": reach}
