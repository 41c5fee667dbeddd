"""Builds ONNX files with our backend on the real TensorRT-RTX; one JSON object a line."""

import json
import sys
from pathlib import Path

import tensorrt_rtx

from edgeresnet.backends.tensorrt.build import build
from edgeresnet.backends.tensorrt.settings import Settings
from edgeresnet.core.errors import EdgeError

FREE_MB = 4000


def told(graph, precision):
    steps = []
    settings = Settings(module="tensorrt_rtx", precision=precision)
    try:
        built = build(
            tensorrt_rtx,
            graph,
            settings,
            int8=True,
            free_mb=FREE_MB,
            progress=lambda _, done, total: steps.append((done, total)),
        )
    except EdgeError as error:
        return {"kind": type(error).__name__, "error": error.what}
    return {"plan": len(built.plan), "steps": steps}


if __name__ == "__main__":
    for name in sys.argv[2:]:
        print(json.dumps(told(Path(name), sys.argv[1])), flush=True)  # noqa: T201
