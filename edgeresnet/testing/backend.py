"""A backend without a vendor, and bundles for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgeresnet.core.artifacts import Artifact, Graph
from edgeresnet.core.bundle import (
    GOLDEN,
    SCHEMA_VERSION,
    ArtifactEntry,
    GoldenEntry,
    LabelsEntry,
    Manifest,
    TensorEntry,
    digests,
    seal,
)
from edgeresnet.core.layers import EngineLayer
from edgeresnet.core.preprocess import Preprocess
from edgeresnet.core.progress import Progress, silent
from edgeresnet.core.protocols import Engine, Mode, Session
from edgeresnet.core.target import Options, Scheme, Target
from edgeresnet.core.tensors import IMAGE, LOGITS, Pixels, Tensors, TensorSpec

ENTRY = "model.fake"


def grey(value: int, size: tuple[int, int] = (6, 8)) -> Pixels:
    """A picture of one grey; a fake engine of 256 classes says class ``value``."""
    return np.full((*size, 3), value, np.uint8)


def brightness_logits(pictures: Pixels, classes: int) -> npt.NDArray[np.float32]:
    """(n, classes), largest for the class whose grey, of an even 0 to 255, is nearest the mean."""
    means = pictures.reshape(len(pictures), -1).mean(axis=1)[:, None]
    centres = np.linspace(0, 255, classes)[None]
    return np.asarray(-(((means - centres) / 16) ** 2), np.float32)


@dataclass(eq=False)
class FakeSession:
    """Labels pictures by their brightness. A second thread in it is an error, never a mix-up."""

    backend: FakeBackend
    classes: int
    wrong: bool
    _busy: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def infer(self, feeds: Tensors) -> Tensors:
        """Run once; ``backend.during`` is called with the pictures first."""
        if not self._busy.acquire(blocking=False):
            raise AssertionError("two threads in one session")
        try:
            if self.backend.during is not None:
                self.backend.during(feeds[IMAGE])
            logits = brightness_logits(feeds[IMAGE], self.classes)
            return {LOGITS: -logits if self.wrong else logits}
        finally:
            self._busy.release()


@dataclass(frozen=True, eq=False)
class FakeEngine:
    """A loaded fake."""

    backend: FakeBackend
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    parallel: int
    wrong: bool

    @property
    def layers(self) -> tuple[EngineLayer, ...]:
        """What the backend was told to say."""
        return self.backend.layers

    def session(self) -> Session:
        """A new session; a wrong one while the backend has such left."""
        backend = self.backend
        backend.sessions += 1
        wrong = self.wrong or backend.sessions <= backend.wrong_sessions
        return FakeSession(backend, self.outputs[0].shape[-1] or 1, wrong)


@dataclass(eq=False)
class FakeBackend:
    """A backend without a vendor, and with faults on demand; it notes how it was used."""

    name: str = "fake"
    parallel: int = 2
    """Sessions that an engine asks for when loaded for throughput; for latency it is one."""
    wrong_loads: int = 0
    """So many first loads give engines that compute something else."""
    wrong_sessions: int = 0
    """So many first sessions, over all loads, compute something else."""
    during: Callable[[Pixels], None] | None = None
    """Called in every run with its pictures: to wait, to note, to raise."""
    compile_error: Exception | None = None
    """Raised by ``compile`` when half of its files are written."""
    loading: Callable[[Progress], None] | None = None
    """Called in every load, with its progress: to take long, to raise."""
    layers: tuple[EngineLayer, ...] = ()
    """What its engines are made of."""
    loads: list[tuple[Mode, Path | None]] = field(default_factory=list)
    """Mode and cache folder of every load."""
    open_engines: int = 0
    sessions: int = 0
    """How many were made."""

    def version(self) -> str:
        """Always the same."""
        return "1.0"

    def precisions(self, target: Target) -> Mapping[str, Options]:  # noqa: ARG002
        """Float32 alone, and nothing to say for it."""
        return {"float32": {}}

    def compile(self, graph: Graph, target: Target, out: Path) -> Artifact:  # noqa: ARG002
        """Write a file that stands for an engine."""
        (out / ENTRY).write_text("half of a fake engine", encoding="utf-8")
        if self.compile_error is not None:
            raise self.compile_error
        (out / ENTRY).write_text("a fake engine, all of it", encoding="utf-8")
        return Artifact.of(graph, out, ENTRY, backend=self.name, normalisation="graph")

    @contextmanager
    def load(
        self,
        artifact: Artifact,
        target: Target,  # noqa: ARG002
        mode: Mode,
        cache: Path | None,
        progress: Progress = silent,
    ) -> Generator[Engine]:
        """Open what :meth:`compile` or :func:`write_bundle` wrote; leaves a file in ``cache``."""
        self.loads.append((mode, cache))
        if self.loading is not None:
            self.loading(progress)
        if cache is not None:
            (cache / "code").touch()
        parallel = self.parallel if mode is Mode.THROUGHPUT else 1
        wrong = len(self.loads) <= self.wrong_loads
        self.open_engines += 1
        try:
            yield FakeEngine(self, artifact.inputs, artifact.outputs, parallel, wrong)
        finally:
            self.open_engines -= 1


def write_bundle(
    folder: Path, *, classes: int = 4, batch: int = 1, size: tuple[int, int] = (8, 8)
) -> Path:
    """Seal a bundle for :class:`FakeBackend` in the new ``folder``, without graph or compiler."""
    folder.mkdir(parents=True)
    (folder / ENTRY).write_text("a fake engine", encoding="utf-8")
    pictures = np.stack([grey(value, size) for value in (0, 90, 255)])
    logits = brightness_logits(pictures, classes)
    np.savez_compressed(folder / GOLDEN, pictures=pictures, expected=logits)
    image = TensorEntry(name=IMAGE, dtype="uint8", shape=(batch, *size, 3))
    scores = TensorEntry(name=LOGITS, dtype="float32", shape=(batch, classes))
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        made_with={},
        model="sha256:" + "0" * 64,
        task="classify",
        target=Target(
            name="fake",
            description="nothing",
            backend="fake",
            device="none",
            scheme=Scheme.FLOAT,
            memory_mb=1,
        ),
        scheme=Scheme.FLOAT,
        preprocess=Preprocess(size=size, resize=max(size)),
        labels=LabelsEntry(names=tuple(f"class {i}" for i in range(classes))),
        artifact=ArtifactEntry(
            entry=ENTRY,
            backend="fake",
            backend_version="1.0",
            normalisation="graph",
            inputs=(image,),
            outputs=(scores,),
        ),
        golden=GoldenEntry(pictures=len(pictures), tolerance=0.01, at_compile=0.0),
        files=digests(folder),
        evidence={},
    )
    seal(folder, manifest)
    return folder
