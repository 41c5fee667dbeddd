"""What the input size of a detector buys and costs: accuracy and speed at several sizes.

usage: detector_sizes.py [weights] [--sizes 320 512 640 800] [--target intel-cpu]

Looked at are drawn pictures of four scenes each, two by two: the things in them are half as large
as those that the embedded detector was trained on, as things far away are. Each size is converted
and quantized, float and INT8 are compiled and evaluated, and all are benchmarked in turns. Printed
is a table: mAP@.5 with its interval, points lost, time of one engine pass, and frames a second
from pictures of 640 x 480 to boxes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from edgeresnet.benchmark.stage import benchmark
from edgeresnet.compile.stage import compile_graph
from edgeresnet.convert.stage import convert
from edgeresnet.core.files import write_text
from edgeresnet.core.pictures import read_picture
from edgeresnet.datasets.procedural.crowds import write_detection_set
from edgeresnet.evaluate.detection import DetectionReport
from edgeresnet.evaluate.stage import evaluate
from edgeresnet.quantize.stage import quantize

SAMPLE = Path(__file__).parents[1] / "edgeresnet/demo/sample-detector.safetensors"
SCENE = 320
TILES = 2  # a side
ROUNDS, ROUND_S = 3, 4.0
CALIBRATION_SEED, EVALUATION_SEED = 31, 90210


@dataclass
class Leg:
    """One bundle: how right it is, and what each round measured of it."""

    size: int
    precision: str
    bundle: Path
    accuracy: DetectionReport
    latency_ms: list[float] = field(default_factory=list)
    fps: list[float] = field(default_factory=list)

    def row(self) -> str:
        """Of the table."""
        score = self.accuracy.score
        assert score is not None
        compared = self.accuracy.compared
        lost = compared.drop[1] if compared and compared.drop else ""
        return (
            f"| {self.size} | {self.precision} | {score.map50} | {lost} "
            f"| {statistics.median(self.latency_ms):.1f} | {statistics.median(self.fps):.1f} |"
        )


def write_tiled(folder: Path, count: int, seed: int) -> Path:
    """Writes ``count`` pictures of TILES x TILES scenes; the result is their COCO file."""
    each = TILES * TILES
    annotations = write_detection_set(folder / "scenes", count * each, seed, (SCENE, SCENE))
    table = json.loads(annotations.read_text())
    images = folder / "images"
    images.mkdir()
    names = [picture["file_name"] for picture in table["images"]]
    pictures = []
    for number in range(count):
        tiles = [
            read_picture(folder / "scenes/images" / name)
            for name in names[number * each : (number + 1) * each]
        ]
        rows = [np.hstack(tiles[i : i + TILES]) for i in range(0, each, TILES)]
        name = f"{number:06d}.png"
        cv2.imwrite(str(images / name), np.vstack(rows))
        side = TILES * SCENE
        pictures.append({"id": number + 1, "file_name": name, "width": side, "height": side})
    for box in table["annotations"]:
        number, place = divmod(box["image_id"] - 1, each)
        row, column = divmod(place, TILES)
        x, y, width, height = box["bbox"]
        box["image_id"] = number + 1
        box["bbox"] = [x + column * SCENE, y + row * SCENE, width, height]
    path = folder / "instances.json"
    write_text(path, json.dumps(table | {"images": pictures}))
    return path


def legs(options: argparse.Namespace, folder: Path) -> list[Leg]:
    """Every size in float and in INT8, evaluated."""
    calibration = write_tiled(folder / "calibration", options.calibrate, CALIBRATION_SEED)
    truth = write_tiled(folder / "evaluation", options.pictures, EVALUATION_SEED)
    made = []
    for size in options.sizes:
        graph, int8 = folder / f"{size}.onnx", folder / f"{size}.int8.onnx"
        convert(options.weights, graph, preprocess={"size": (size, size)})
        quantize(
            graph,
            int8,
            images=calibration.with_name("images"),
            annotations=calibration,
            target=options.target,
            force=True,
        )
        for precision, path in (("float32", graph), ("INT8", int8)):
            bundle = folder / f"{size}.{precision}.bundle"
            compile_graph(path, bundle, target=options.target)
            found = evaluate(
                bundle,
                images=truth.with_name("images"),
                annotations=truth,
                reference=graph if path is int8 else None,
            )
            assert isinstance(found, DetectionReport)
            made.append(Leg(size, precision, bundle, found))
            print(f"{size} {precision}: {found.score.map50 if found.score else ''}", flush=True)
    return made


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("weights", type=Path, nargs="?", default=SAMPLE)
    parser.add_argument("--sizes", type=int, nargs="+", default=[320, 512, 640, 800])
    parser.add_argument("--target", default="intel-cpu")
    parser.add_argument("--pictures", type=int, default=125, help="to evaluate, four scenes each")
    parser.add_argument("--calibrate", type=int, default=64, help="pictures, four scenes each")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        made = legs(options, Path(folder))
        for _ in range(ROUNDS):
            for leg in made:
                report = benchmark(leg.bundle, seconds=ROUND_S)
                leg.latency_ms.append(report.engine_latency.percentile(50))
                leg.fps.append(report.end_to_end_fps)
    print("| size | | mAP@.5 | points lost | engine ms | frames/s |\n|---|---|---|---|---|---|")
    for leg in made:
        print(leg.row())


if __name__ == "__main__":
    main()
