"""Quantizes a contract graph with NNCF or with ONNX Runtime; runs in the peers' environment.

usage: quantize_with_peer.py PEER GRAPH PICTURES.npy OUT. PICTURES are fitted, uint8 NHWC BGR; the
contract graph takes them as they are. NNCF writes OpenVINO's IR, ONNX Runtime an ONNX file. The
last line on stdout is a JSON object: seconds inside the quantizer, and versions. Knows nothing of
edgeresnet, which is not installed there.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt

Pictures = npt.NDArray[np.uint8]
NORMALISATION = "normalise."
"""How the names of the nodes begin that hold mean, std and layout: none of them is a layer."""


def nncf_preset(preset: str, graph: Path, pictures: Pictures, out: Path) -> float:
    """Post-training quantization of NNCF on OpenVINO."""
    os.environ["NNCF_CI"] = "1"  # no telemetry: its network calls are not calibration
    import nncf
    import openvino as ov

    start = time.perf_counter()
    quantized = nncf.quantize(
        ov.convert_model(str(graph)),
        nncf.Dataset(list(pictures), lambda picture: picture[None]),
        preset=nncf.QuantizationPreset[preset],
        subset_size=len(pictures),
    )
    seconds = time.perf_counter() - start
    ov.save_model(quantized, str(out), compress_to_fp16=False)
    return seconds


def onnxruntime_minmax(graph: Path, pictures: Pictures, out: Path) -> float:
    """Static Q/DQ quantization: min-max, per channel, unsigned activations.

    The graph holds no BatchNorm any more, so ``quant_pre_process`` would have nothing to fold.
    """
    import onnx
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    model = onnx.load(str(graph))
    name = model.graph.input[0].name

    class Reader(CalibrationDataReader):
        """The pictures, one at a time."""

        def __init__(self) -> None:
            self._left = iter(pictures)

        def get_next(self) -> dict[str, Pictures] | None:
            """The next feed, None after the last."""
            picture = next(self._left, None)
            return None if picture is None else {name: picture[None]}

    start = time.perf_counter()
    quantize_static(
        str(graph),
        str(out),
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod.MinMax,
        nodes_to_exclude=[n.name for n in model.graph.node if n.name.startswith(NORMALISATION)],
    )
    return time.perf_counter() - start


PEERS: dict[str, tuple[str, Callable[[Path, Pictures, Path], float]]] = {
    "nncf-mixed": ("nncf", lambda *files: nncf_preset("MIXED", *files)),
    "nncf-performance": ("nncf", lambda *files: nncf_preset("PERFORMANCE", *files)),
    "onnxruntime-minmax": ("onnxruntime", onnxruntime_minmax),
}


def main() -> int:
    """Quantizes with the peer named first."""
    if len(sys.argv) != 5 or sys.argv[1] not in PEERS:
        print(f"{__doc__}\npeers: {', '.join(PEERS)}", file=sys.stderr)
        return 2
    package, quantizer = PEERS[sys.argv[1]]
    graph, pictures, out = (Path(argument) for argument in sys.argv[2:])
    seconds = quantizer(graph, np.load(pictures), out)
    print(json.dumps({"quantizer_seconds": round(seconds, 2), package: version(package)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
