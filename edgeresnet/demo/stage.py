"""The whole way on the embedded sample network: drawn pictures in, annotated video out."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path

import av
import cv2
import numpy as np

from edgeresnet.benchmark.stage import BenchmarkReport, benchmark
from edgeresnet.compile.stage import compile_graph
from edgeresnet.convert.stage import ConvertReport, convert
from edgeresnet.core.errors import UsageError
from edgeresnet.core.pictures import read_picture
from edgeresnet.core.progress import Progress, silent
from edgeresnet.core.tensors import Pixels
from edgeresnet.datasets.procedural import draw_clip, write_pictures
from edgeresnet.evaluate.classification import EvaluateReport
from edgeresnet.evaluate.stage import evaluate
from edgeresnet.flow.report import RunReport
from edgeresnet.quantize.report import QuantizeReport
from edgeresnet.quantize.stage import quantize
from edgeresnet.run.model import open_model
from edgeresnet.run.stage import run
from edgeresnet.sinks.draw import annotate

SAMPLE = Path(__file__).with_name("sample.safetensors")
CALIBRATION, EVALUATION = 200, 600
CLIP_SECONDS, CLIP_FPS = 12, 30
_MARKER = ".edgeresnet-demo"
_SEEDS = {"calibration": 11, "evaluation": 12, "clip": 13}
_TILE, _COLUMNS, _ROWS = 300, 4, 2
_BENCHMARK_S = 4.0


@dataclass(frozen=True)
class Leg:
    """One bundle of the demo: how right and how fast."""

    name: str
    bundle: Path
    accuracy: EvaluateReport
    speed: BenchmarkReport


@dataclass(frozen=True)
class DemoReport:
    """What the demo made, measured and wrote."""

    folder: Path
    converted: ConvertReport
    quantized: QuantizeReport
    legs: tuple[Leg, ...]
    ran: RunReport
    written: tuple[Path, ...]
    seconds: float


def demo(
    folder: Path | str,
    *,
    force: bool = False,
    say: Callable[[str], None] = lambda _line: None,
    progress: Callable[[], Progress] = lambda: silent,
) -> DemoReport:
    """Take the embedded quarter-width ResNet-50 through every stage, in the new ``folder``.

    Nothing is fetched: pictures and clip are drawn. Every installed backend takes part.
    """
    start = time.monotonic()
    folder = Path(folder)
    with _fresh(folder, force=force):
        say("1/7  draw pictures and a clip")
        calibration, evaluation = folder / "pictures/calibration", folder / "pictures/evaluation"
        write_pictures(calibration, CALIBRATION, seed=_SEEDS["calibration"])
        write_pictures(evaluation, EVALUATION, seed=_SEEDS["evaluation"])
        clip = folder / "clip.mp4"
        _write_clip(clip)
        say("2/7  convert: checkpoint to graph, checked against the training, proved equal")
        graph = folder / "sample.onnx"
        converted = convert(SAMPLE, graph, images=calibration, progress=progress())
        say("3/7  quantize: INT8 inside the accuracy budget")
        int8 = folder / "sample.int8.onnx"
        quantized = quantize(
            graph, int8, images=calibration, eval_images=evaluation, progress=progress()
        )
        legs = []
        say("4/7  compile for each backend, prove, evaluate and benchmark")
        for target in _targets():
            for name, path in (("fp32", graph), ("INT8", int8)):
                bundle = folder / f"sample.{name.lower()}.{target}.bundle"
                compile_graph(path, bundle, target=target)
                accuracy = evaluate(bundle, images=evaluation, reference=graph)
                if not isinstance(accuracy, EvaluateReport):
                    raise TypeError(f"{bundle} is no classifier")
                speed = benchmark(bundle, source=str(clip), seconds=_BENCHMARK_S)
                legs.append(Leg(f"{name} on {target}", bundle, accuracy, speed))
                say(f"     {name} on {target}: {speed.end_to_end_fps:.0f} frames/s")
        fastest = max(legs, key=lambda leg: leg.speed.end_to_end_fps).bundle
        say(f"5/7  run the clip through {fastest.name}")
        video, lines = folder / "annotated.mp4", folder / "predictions.jsonl"
        ran = run(fastest, str(clip), [f"video:{video}", f"jsonl:{lines}"])
        say("6/7  draw labels on pictures")
        sheet = folder / "annotated.jpg"
        _write_sheet(sheet, fastest, evaluation)
        say("7/7  done")
    written = (graph, int8, *(leg.bundle for leg in legs), clip, video, sheet, lines)
    return DemoReport(
        folder, converted, quantized, tuple(legs), ran, written, time.monotonic() - start
    )


def _targets() -> list[str]:
    return ["generic-cpu", *(["intel-cpu"] if find_spec("openvino") else [])]


@contextmanager
def _fresh(folder: Path, *, force: bool) -> Iterator[None]:
    """An empty folder of our own; only one that a demo made before is replaced."""
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        if not force or not (folder / _MARKER).exists():
            raise UsageError(
                f"output exists: {folder}",
                hint="choose another -o, or pass --force to replace an earlier demo",
            )
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _MARKER).touch()
    yield


def _write_clip(path: Path) -> None:
    with av.open(str(path), "w") as container:
        codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
        stream = container.add_stream(codec, rate=Fraction(CLIP_FPS))
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 640, 480, "yuv420p"
        for scene in draw_clip(CLIP_SECONDS * CLIP_FPS, seed=_SEEDS["clip"], fps=CLIP_FPS):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(scene.pixels, format="bgr24")))
        container.mux(stream.encode(None))


def _write_sheet(path: Path, bundle: Path, pictures: Path) -> None:
    """A sheet of pictures with their labels, one of each of the first classes."""
    folders = sorted(p for p in pictures.iterdir() if p.is_dir())
    step = max(1, len(folders) // (_COLUMNS * _ROWS))
    chosen = [min(f.iterdir()) for f in folders[::step]][: _COLUMNS * _ROWS]
    tiles: list[Pixels] = []
    with open_model(bundle, top=3) as model:
        for file in chosen:
            pixels = read_picture(file)
            large = cv2.resize(pixels, (_TILE, _TILE), interpolation=cv2.INTER_CUBIC)
            tiles.append(annotate(large, model.predict(pixels)))  # type: ignore[arg-type]
    blank = np.full((_TILE, _TILE, 3), 255, np.uint8)
    tiles += [blank] * (_COLUMNS * _ROWS - len(tiles))
    rows = [np.hstack(tiles[i : i + _COLUMNS]) for i in range(0, len(tiles), _COLUMNS)]
    cv2.imwrite(str(path), np.vstack(rows), [cv2.IMWRITE_JPEG_QUALITY, 92])
