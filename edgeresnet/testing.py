"""Public fakes for the seams: try a source, sink or backend of your own without vendor or camera.

::

    bundle = write_bundle(tmp_path / "fake.bundle", classes=256)
    source = ListSource([grey(value) for value in (3, 1, 2)])
    sink = ListSink()
    with (
        plugged(BACKENDS, "fake", backend=FakeBackend()),
        plugged(sources.SCHEMES, "list", open_place=lambda *_, **__: source),
        plugged(sinks.SCHEMES, "list", open_place=lambda *_: sink),
    ):
        run(bundle, "list://", ["list:here"])
    assert sink.class_ids == [3, 1, 2]
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

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
from edgeresnet.core.frames import Frame
from edgeresnet.core.predictions import Classification, Prediction
from edgeresnet.core.preprocess import Preprocess
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
        return Artifact(
            folder=out,
            entry=ENTRY,
            backend=self.name,
            scheme=graph.scheme,
            normalisation="graph",
            inputs=graph.inputs,
            outputs=graph.outputs,
            preprocess=graph.preprocess,
        )

    @contextmanager
    def load(
        self,
        artifact: Artifact,
        target: Target,  # noqa: ARG002
        mode: Mode,
        cache: Path | None,
    ) -> Generator[Engine]:
        """Open what :meth:`compile` or :func:`write_bundle` wrote; leaves a file in ``cache``."""
        self.loads.append((mode, cache))
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
    np.savez_compressed(folder / GOLDEN, pictures=pictures, logits=logits)
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


class ListSource:
    """Gives what is in a list: pictures and frames as frames, exceptions raised, events waited for.

    It does not heed any ``stop``, as a driver would not. ``taken`` counts the items begun.
    """

    def __init__(
        self,
        items: Iterable[Pixels | Frame | BaseException | threading.Event],
        *,
        live: bool = False,
        name: str = "list",
    ) -> None:
        self.live, self.name = live, name
        self.dropped: dict[str, int] = {}
        self.fps: float | None = None
        self.taken, self.closed = 0, False
        self._items = items

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        for item in self._items:
            self.taken += 1
            if isinstance(item, BaseException):
                raise item
            if isinstance(item, threading.Event):
                item.wait()
            elif isinstance(item, Frame):
                yield item
            else:
                yield Frame(item, index, time.monotonic_ns(), self.name)
                index += 1

    def __enter__(self) -> ListSource:  # noqa: PYI034  Python 3.10 has no Self
        return self

    def __exit__(self, *_error: object) -> None:
        self.closed = True


class ListSink:
    """Keeps what it is given; raises ``error`` at item number ``fails_at``, counted from 0."""

    def __init__(self, *, fails_at: int | None = None, error: Exception | None = None) -> None:
        self.frames: list[Frame] = []
        self.predictions: list[Prediction] = []
        self.closed = False
        self._fails_at, self._error = fails_at, error or OSError("the sink failed")

    @property
    def class_ids(self) -> list[int]:
        """The best class of each classification, in the order they came."""
        return [p.best.class_id for p in self.predictions if isinstance(p, Classification)]

    def put(self, frame: Frame, prediction: Prediction) -> None:
        """Keep both."""
        if len(self.frames) == self._fails_at:
            raise self._error
        self.frames.append(frame)
        self.predictions.append(prediction)

    def __enter__(self) -> ListSink:  # noqa: PYI034
        return self

    def __exit__(self, *_error: object) -> None:
        self.closed = True


@contextmanager
def plugged(registry: dict[str, str], name: str, **members: object) -> Generator[None]:
    """Put a module with ``members`` into a registry while the block runs.

    A backend's module has ``backend``, a source's and a sink's ``open_place``.
    """
    module = ModuleType(f"edgeresnet.testing.plugged_{name}_{id(members):x}")
    vars(module).update(members)
    before = registry.get(name)
    sys.modules[module.__name__], registry[name] = module, module.__name__
    try:
        yield
    finally:
        del sys.modules[module.__name__]
        if before is None:
            del registry[name]
        else:
            registry[name] = before
