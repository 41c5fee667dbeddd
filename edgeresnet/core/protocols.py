"""The seams. Whatever fits one of these can be plugged in; nothing else can."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from enum import Enum
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from edgeresnet.core.artifacts import Artifact, Graph
from edgeresnet.core.frames import Frame
from edgeresnet.core.layers import EngineLayer
from edgeresnet.core.predictions import Prediction
from edgeresnet.core.progress import Progress, silent
from edgeresnet.core.target import Options, Target
from edgeresnet.core.tensors import Tensors, TensorSpec


class Mode(str, Enum):
    """What an engine is loaded for."""

    LATENCY = "latency"
    """Live frames: the shortest way from one frame to its result."""
    THROUGHPUT = "throughput"
    """Files: the most frames a second."""


class Session(Protocol):
    """One place to run a model: own buffers and stream, one thread at a time."""

    def infer(self, feeds: Tensors) -> Tensors:
        """Run once. The result is the caller's until the next call on this session."""
        ...


class Engine(Protocol):
    """A compiled model, loaded and ready; safe to share between threads."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]: ...
    @property
    def outputs(self) -> tuple[TensorSpec, ...]: ...
    @property
    def parallel(self) -> int:
        """How many sessions, each on its own thread, keep the device full."""
        ...

    @property
    def layers(self) -> tuple[EngineLayer, ...]:
        """What it is made of, as far as the vendor tells; empty where it does not."""
        ...

    def session(self) -> Session:
        """A new session."""
        ...


class Backend(Protocol):
    """One vendor's compiler and runtime."""

    @property
    def name(self) -> str: ...

    def version(self) -> str:
        """The vendor's version, as written into bundles."""
        ...

    def precisions(self, target: Target) -> Mapping[str, Options]:
        """How a float graph can be computed on ``target``'s device here, ``float32`` first.

        Each name (``bfloat16``, ``float16``) to the options of a target that select it; only
        what the device has instructions for.
        """
        ...

    def compile(self, graph: Graph, target: Target, out: Path) -> Artifact:
        """Compile ``graph`` for ``target`` into files in the existing, empty folder ``out``."""
        ...

    def load(
        self,
        artifact: Artifact,
        target: Target,
        mode: Mode,
        cache: Path | None,
        progress: Progress = silent,
    ) -> AbstractContextManager[Engine]:
        """Open ``artifact``; leaving the context frees the device.

        ``cache`` is an existing folder that only this user writes, for this model alone, where
        compiled code may be kept for the next load; what models share may lie beside it. With
        ``None`` everything is compiled afresh. ``progress`` hears of what takes minutes.
        """
        ...


class FrameSource(Protocol):
    """Where frames come from. Iterating ends when the source does.

    A source that captures what cannot become a frame (a file that is no picture, a corrupt video
    frame) has an attribute ``dropped``, a mapping of reason to count, each also captured.
    """

    @property
    def live(self) -> bool:
        """Whether frames are lost when nobody takes them (a camera), or wait (a file)."""
        ...

    def __iter__(self) -> Iterator[Frame]: ...


class Task(Protocol):
    """What the model is for: pixels to feeds, and outputs to a prediction."""

    def feeds(self, frame: Frame) -> Tensors:
        """The model's inputs for one frame, batch 1; the caller's until the next call."""
        ...

    def prediction(self, outputs: Tensors, frame: Frame) -> Prediction: ...

    def signature(self, outputs: Tensors) -> npt.NDArray[np.float32]:
        """What two runtimes have to agree on for the first picture of a batch, as one vector.

        Of the same length for the same model, and alike where what is said is alike: the order of
        equals does not show in it.
        """
        ...


class Sink(Protocol):
    """Where predictions go. Opened as a context manager; closing flushes.

    ``put`` is called on a thread of the sink's own, in the order of the frames, and closing when
    that has ended; a sink may be slow or raise without anyone else noticing. A sink with an
    attribute ``pixels`` that is False gets frames in black, which cost nothing to keep waiting. One
    that delivers later, from a spool, has ``delivery()`` that returns a
    :class:`~edgeresnet.core.status.SinkStatus` of what became of all that was put.
    """

    def put(self, frame: Frame, prediction: Prediction) -> None: ...
