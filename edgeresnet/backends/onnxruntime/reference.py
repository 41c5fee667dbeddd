"""Run any ONNX model once or a thousand times: the reference that other runtimes are held to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnxruntime as ort

from edgeresnet.core.cores import cores
from edgeresnet.core.errors import ModelError
from edgeresnet.core.tensors import Tensors


def open_model(
    model: bytes | Path, *, threads: int = 0, optimize: bool = True
) -> Callable[[Tensors], Tensors]:
    """Load a model; the result maps named inputs to every output, batch as the model has it.

    Without ``threads`` it has one for each core of this process. ONNX Runtime's own choice is one
    for each core of the machine, which wait busily for each other where it may not use them all.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or cores()
    options.log_severity_level = 4  # what fails is said by the error that is raised
    if not optimize:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    source = str(model) if isinstance(model, Path) else model
    try:
        session = ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's exceptions share no public base
        name = model.name if isinstance(model, Path) else "the graph"
        raise ModelError(
            f"ONNX Runtime {ort.__version__} cannot load {name}: {str(error).splitlines()[0][:200]}"
        ) from error
    names = [node.name for node in session.get_outputs()]

    def run(feeds: Tensors) -> Tensors:
        try:
            values = session.run(names, dict(feeds))
        except Exception as error:  # the runtime's exceptions share no public base
            raise ModelError(
                f"ONNX Runtime {ort.__version__} fails in a run: "
                f"{str(error).splitlines()[0][:160]}",
                hint="a fixed batch or size inside the network? Try --batch 1 and its own --size",
            ) from error
        return dict(zip(names, values, strict=True))

    return run
