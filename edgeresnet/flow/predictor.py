"""Anything that turns fitted pictures into logits: a graph on ONNX Runtime, or a proved bundle."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
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
from edgeresnet.core.tensors import LOGITS, Pixels
from edgeresnet.flow.golden import batch_feeds
from edgeresnet.flow.opening import open_bundle
from edgeresnet.flow.ordered import ordered

Logits = npt.NDArray[np.float32]
T = TypeVar("T")


@dataclass(frozen=True)
class Predictor:
    """``workers`` each map one fitted picture to its logits, each on its own thread."""

    name: str
    model: str
    preprocess: Preprocess
    labels: Labels
    workers: tuple[Callable[[Pixels], Logits], ...]

    def logits(self, items: Iterable[tuple[T, Pixels]]) -> Generator[tuple[T, Logits]]:
        """Logits of many pictures, in order, with whatever came beside each."""

        def with_item(
            run: Callable[[Pixels], Logits],
        ) -> Callable[[tuple[T, Pixels]], tuple[T, Logits]]:
            return lambda item: (item[0], run(item[1]))

        return ordered([with_item(run) for run in self.workers], iter(items))


@contextmanager
def open_predictor(path: Path) -> Generator[Predictor]:
    """Open a bundle (proved first) or a contract graph (on ONNX Runtime)."""
    if path.is_dir() or is_bundle(path):
        with open_bundle(path, Mode.THROUGHPUT) as opened:
            manifest = opened.bundle.manifest

            def worker(session: object) -> Callable[[Pixels], Logits]:
                def run(pixels: Pixels) -> Logits:
                    outputs = session.infer(batch_feeds(pixels, opened.batch))  # type: ignore[attr-defined]
                    return np.array(outputs[LOGITS][0], np.float32)

                return run

            yield Predictor(
                f"{path.name} on {manifest.artifact.backend}",
                manifest.model,
                manifest.preprocess,
                opened.bundle.labels,
                tuple(worker(session) for session in opened.sessions),
            )
        return
    from edgeresnet.backends.onnxruntime.reference import open_model

    graph = read_graph(path)
    run_graph = open_model(path)

    def run(pixels: Pixels) -> Logits:
        return np.array(run_graph(batch_feeds(pixels, graph.batch))[LOGITS][0], np.float32)

    name = f"{path.name} on onnxruntime"
    yield Predictor(name, f"sha256:{graph.sha256}", graph.preprocess, graph.labels, (run,))
