"""Anything that says something of fitted pictures: a graph on ONNX Runtime, or a proved bundle."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from edgeresnet.core.bundle import is_bundle
from edgeresnet.core.contract import read_graph
from edgeresnet.core.labels import Labels
from edgeresnet.core.preprocess import Preprocess
from edgeresnet.core.protocols import Mode
from edgeresnet.core.tensors import LOGITS, Pixels, Tensors
from edgeresnet.flow.golden import batch_feeds
from edgeresnet.flow.opening import open_bundle
from edgeresnet.flow.ordered import ordered

Logits = npt.NDArray[np.float32]
T = TypeVar("T")


@dataclass(frozen=True)
class Predictor:
    """``workers`` each map one fitted picture to its outputs, batch 1, each on its own thread."""

    name: str
    model: str
    task: str
    preprocess: Preprocess
    labels: Labels
    workers: tuple[Callable[[Pixels], Tensors], ...]

    def outputs(self, items: Iterable[tuple[T, Pixels]]) -> Generator[tuple[T, Tensors]]:
        """Outputs of many pictures, in order, with whatever came beside each."""

        def with_item(
            run: Callable[[Pixels], Tensors],
        ) -> Callable[[tuple[T, Pixels]], tuple[T, Tensors]]:
            return lambda item: (item[0], run(item[1]))

        return ordered([with_item(run) for run in self.workers], iter(items))

    def logits(self, items: Iterable[tuple[T, Pixels]]) -> Generator[tuple[T, Logits]]:
        """The same of a classifier: its logits (classes)."""
        with closing(self.outputs(items)) as found:
            for item, outputs in found:
                yield item, np.asarray(outputs[LOGITS][0], np.float32)


@contextmanager
def open_predictor(path: Path) -> Generator[Predictor]:
    """Open a bundle (proved first) or a contract graph (on ONNX Runtime)."""
    if path.is_dir() or is_bundle(path):
        with open_bundle(path, Mode.THROUGHPUT) as opened:
            manifest = opened.bundle.manifest
            yield Predictor(
                f"{path.name} on {manifest.artifact.backend}",
                manifest.model,
                manifest.task,
                manifest.preprocess,
                opened.bundle.labels,
                tuple(_worker(session.infer, opened.batch) for session in opened.sessions),
            )
        return
    from edgeresnet.backends.onnxruntime.reference import open_model

    graph = read_graph(path)
    yield Predictor(
        f"{path.name} on onnxruntime",
        f"sha256:{graph.sha256}",
        graph.task,
        graph.preprocess,
        graph.labels,
        (_worker(open_model(path), graph.batch),),
    )


def _worker(infer: Callable[[Tensors], Tensors], batch: int) -> Callable[[Pixels], Tensors]:
    """The outputs of one picture are copied: a session fills its own anew."""

    def run(pixels: Pixels) -> Mapping[str, npt.NDArray[np.float32]]:
        outputs = infer(batch_feeds(pixels, batch))
        return {name: np.array(value[:1]) for name, value in outputs.items()}

    return run
