"""The whole way on the embedded networks: drawn pictures in, one annotated film out."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np

from edgeresnet.benchmark.stage import BenchmarkReport, benchmark
from edgeresnet.compile.stage import compile_graph
from edgeresnet.convert.stage import ConvertReport, convert
from edgeresnet.core.errors import UsageError
from edgeresnet.core.progress import Progress, silent
from edgeresnet.core.tensors import Pixels
from edgeresnet.datasets.procedural import draw_clip
from edgeresnet.demo.networks import CLASSIFIER, DETECTOR, Network, Pictures
from edgeresnet.demo.showing import sheet, write_beside, write_film
from edgeresnet.evaluate.classification import EvaluateReport
from edgeresnet.evaluate.detection import DetectionReport
from edgeresnet.evaluate.stage import evaluate
from edgeresnet.flow.report import RunReport
from edgeresnet.metrics.accuracy import Interval
from edgeresnet.metrics.coco_evaluator import need_evaluator
from edgeresnet.quantize.report import QuantizeReport
from edgeresnet.quantize.stage import quantize
from edgeresnet.run.stage import run

NETWORKS = CLASSIFIER, DETECTOR
CLIP_SECONDS, CLIP_FPS, CLIP_SIZE = 12, 30, (640, 480)
_MARKER = ".edgeresnet-demo"
_SEEDS = {"calibration": 11, "evaluation": 12, "clip": 10}
_BENCHMARK_S = 4.0


@dataclass(frozen=True)
class Leg:
    """One bundle of the demo: how right and how fast."""

    name: str
    bundle: Path
    right: Interval
    """Top-1 of a classifier, mAP@.5 of a detector, in percent."""
    speed: BenchmarkReport


@dataclass(frozen=True)
class Pair:
    """Float and INT8 on one target."""

    target: str
    legs: tuple[Leg, Leg]
    accuracy: EvaluateReport | DetectionReport
    """Of INT8, with float on the same target as the reference."""
    drop: Interval
    """Points that INT8 loses."""


@dataclass(frozen=True, eq=False)
class Way:
    """What one network was made into, how good that is, and what it says of the clip."""

    network: Network
    converted: ConvertReport
    quantized: QuantizeReport
    pairs: tuple[Pair, ...]
    ran: RunReport
    film: Path
    sheet: Pixels
    written: tuple[Path, ...]


@dataclass(frozen=True)
class DemoReport:
    """What the demo made, measured and wrote."""

    folder: Path
    ways: tuple[Way, ...]
    """One of each network."""
    written: tuple[Path, ...]
    """The film and the sheet of pictures that show both networks, then everything else."""
    seconds: float


def demo(
    folder: Path | str,
    *,
    force: bool = False,
    say: Callable[[str], None] = lambda _line: None,
    progress: Callable[[], Progress] = lambda: silent,
) -> DemoReport:
    """Take the embedded classifier and detector through every stage, in the new ``folder``.

    Nothing is fetched: pictures and clip are drawn. Every installed backend takes part. Both run
    on one clip, and ``annotated.mp4`` shows it twice: labels on the left, boxes on the right.
    """
    start = time.monotonic()
    need_evaluator()
    folder, last = Path(folder), len(NETWORKS) + 2
    with _fresh(folder, force=force):
        say(f"1/{last}  draw a clip")
        clip, frames = folder / "clip.mp4", CLIP_SECONDS * CLIP_FPS
        scenes = draw_clip(frames, seed=_SEEDS["clip"], size=CLIP_SIZE, fps=CLIP_FPS)
        write_film(clip, (scene.pixels for scene in scenes), CLIP_SIZE, CLIP_FPS)
        ways = []
        for step, network in enumerate(NETWORKS, start=2):
            say(f"{step}/{last}  {network.name}")
            ways.append(
                _take(network, folder / network.name, clip, lambda at: say(f"     {at}"), progress)
            )
        say(f"{last}/{last}  put both beside each other")
        film, picture = folder / "annotated.mp4", folder / "annotated.jpg"
        write_beside(film, ways[0].film, ways[1].film, CLIP_SIZE, CLIP_FPS)
        sheets = np.vstack([way.sheet for way in ways])
        cv2.imwrite(str(picture), sheets, [cv2.IMWRITE_JPEG_QUALITY, 92])
    written = (film, picture, clip, *(path for way in ways for path in way.written))
    return DemoReport(folder, tuple(ways), written, time.monotonic() - start)


def _take(
    network: Network,
    folder: Path,
    clip: Path,
    say: Callable[[str], None],
    progress: Callable[[], Progress],
) -> Way:
    """Every stage with one network, in the new ``folder``."""
    say("draw pictures")
    pictures = folder / "pictures"
    seen = network.draw(pictures / "calibration", network.calibration, _SEEDS["calibration"])
    unseen = network.draw(pictures / "evaluation", network.evaluation, _SEEDS["evaluation"])
    say("convert: checkpoint to graph, checked against the training, proved equal")
    graph, int8 = folder / f"{network.name}.onnx", folder / f"{network.name}.int8.onnx"
    converted = convert(network.weights, graph, images=seen.images, progress=progress())
    say("quantize: INT8 inside the accuracy budget")
    quantized = quantize(
        graph,
        int8,
        images=seen.images,
        eval_images=unseen.images,
        annotations=unseen.annotations,
        progress=progress(),
    )
    say("compile for each backend, prove, evaluate and benchmark")
    pairs = []
    for target in _targets():
        pair = _measure((graph, int8), target, unseen, clip)
        pairs.append(pair)
        for leg in pair.legs:
            say(f"  {leg.name}: {leg.speed.end_to_end_fps:.0f} frames/s")
    legs = [leg for pair in pairs for leg in pair.legs]
    fastest = max(legs, key=lambda leg: leg.speed.end_to_end_fps).bundle
    say(f"run the clip through {fastest.name}")
    film, lines = folder / "annotated.mp4", folder / "predictions.jsonl"
    ran = run(fastest, str(clip), [f"video:{film}", f"jsonl:{lines}"], policy=network.policy)
    said = sheet(fastest, unseen.images, network.policy)
    written = (film, lines, graph, int8, *(leg.bundle for leg in legs))
    return Way(network, converted, quantized, tuple(pairs), ran, film, said, written)


def _measure(graphs: tuple[Path, Path], target: str, unseen: Pictures, clip: Path) -> Pair:
    """Compile the float and the INT8 graph for a target and measure both."""
    bundles = [graph.with_suffix(f".{target}.bundle") for graph in graphs]
    for graph, bundle in zip(graphs, bundles, strict=True):
        compile_graph(graph, bundle, target=target)
    fp32, int8 = bundles
    found = evaluate(int8, images=unseen.images, annotations=unseen.annotations, reference=fp32)
    if not isinstance(found, EvaluateReport | DetectionReport):
        raise TypeError(f"{int8} is neither classifier nor detector")
    right, drop = _figures(found)
    speeds = [benchmark(one, source=str(clip), seconds=_BENCHMARK_S) for one in bundles]
    return Pair(
        target,
        (
            Leg(f"fp32 on {target}", fp32, right[0], speeds[0]),
            Leg(f"INT8 on {target}", int8, right[1], speeds[1]),
        ),
        found,
        drop,
    )


def _figures(
    found: EvaluateReport | DetectionReport,
) -> tuple[tuple[Interval, Interval], Interval]:
    """How right the reference and the model are, and the points that the model loses."""
    if isinstance(found, EvaluateReport):
        assert found.reference_top1 is not None
        assert found.top1 is not None
        assert found.drop is not None
        return (found.reference_top1, found.top1), found.drop
    assert found.score is not None
    assert found.compared is not None
    assert found.compared.score is not None
    assert found.compared.drop is not None
    return (found.compared.score.map50, found.score.map50), found.compared.drop[1]


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
