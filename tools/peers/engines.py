"""Logits and latency of a model file on OpenVINO and on ONNX Runtime."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import openvino as ov

from edgeresnet.backends.onnxruntime.reference import open_model
from edgeresnet.core.tensors import IMAGE, Pixels
from edgeresnet.metrics.accuracy import Floats

STREAMS = 2
_EXACT = {"INFERENCE_PRECISION_HINT": "f32"}
"""Else OpenVINO computes what is not INT8 in bfloat16 where the CPU has it."""
_WARM_UP = 5

K = TypeVar("K")
Run = Callable[[Pixels], Floats]
"""One picture, 1 x height x width x 3, to its logits."""


def read_for_openvino(path: Path) -> ov.Model:
    """Read IR by ``read_model``; ONNX by ``convert_model`` and never by the former.

    OpenVINO 2026.4.1 compiles Q/DQ graphs that ``read_model`` took in wrongly in 20 to 40 % of
    loads with two streams.
    """
    if path.suffix == ".xml":
        return ov.Core().read_model(str(path))
    return ov.convert_model(str(path))


def openvino_logits(model: Path, pictures: Pixels) -> Floats:
    """Logits of all pictures on OpenVINO, two at a time."""
    config = {"PERFORMANCE_HINT": "THROUGHPUT", "NUM_STREAMS": STREAMS, **_EXACT}
    compiled = ov.Core().compile_model(read_for_openvino(model), "CPU", config)
    rows: list[Any] = [None] * len(pictures)

    def keep(request: Any, i: int) -> None:  # noqa: ANN401  OpenVINO has no type for it
        rows[i] = request.get_output_tensor(0).data[0].copy()

    queue = ov.AsyncInferQueue(compiled, STREAMS)
    queue.set_callback(keep)
    for i, picture in enumerate(pictures):
        queue.start_async({0: np.asarray(picture)[None]}, i)
    queue.wait_all()
    return np.stack(rows)


def onnxruntime_logits(model: Path, pictures: Pixels) -> Floats:
    """Logits of all pictures on ONNX Runtime."""
    run = onnxruntime_run(model)
    return np.concatenate([run(np.asarray(picture)[None]) for picture in pictures])


def onnxruntime_run(model: Path) -> Run:
    """``model`` loaded by ONNX Runtime."""
    run = open_model(model)

    def first(picture: Pixels) -> Floats:
        (output,) = run({IMAGE: picture}).values()
        return output

    return first


def compile_for_latency(model: ov.Model) -> ov.CompiledModel:
    """``model`` compiled for the least delay of one picture."""
    return ov.Core().compile_model(model, "CPU", {"PERFORMANCE_HINT": "LATENCY", **_EXACT})


def openvino_run(model: Path) -> Run:
    """``model`` loaded by OpenVINO for the least delay of one picture."""
    request = compile_for_latency(read_for_openvino(model)).create_infer_request()

    def first(picture: Pixels) -> Floats:
        request.infer({0: picture})
        output: Floats = request.get_output_tensor(0).data
        return output

    return first


def latencies(runs: Mapping[K, Run], pictures: Pixels, rounds: int) -> dict[K, float]:
    """Median milliseconds of each, one run of each a round, so that all meet the same noise."""
    taken: dict[K, list[float]] = {name: [] for name in runs}
    for i in range(_WARM_UP + rounds):
        picture = np.array(pictures[i % len(pictures)])[None]
        for name, run in runs.items():
            start = time.perf_counter()
            run(picture)
            taken[name].append((time.perf_counter() - start) * 1e3)
    return {name: statistics.median(times[_WARM_UP:]) for name, times in taken.items()}
