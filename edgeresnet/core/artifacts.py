"""What each stage hands to the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from edgeresnet.core.labels import Labels
from edgeresnet.core.preprocess import Preprocess
from edgeresnet.core.target import Scheme
from edgeresnet.core.tensors import TensorSpec

Evidence: TypeAlias = Mapping[str, Any]
"""What each gate found: ``parity``, ``training_match``, ``calibration``, ``accuracy``,
``benchmark``, each a JSON object with at least ``verdict``."""


@dataclass(frozen=True)
class Graph:
    """A contract graph: an ONNX file that takes fitted uint8 NHWC BGR pictures.

    Everything but the weights is read from the file's metadata, so the file travels alone.
    """

    path: Path
    sha256: str
    task: str
    scheme: Scheme
    preprocess: Preprocess
    labels: Labels
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    evidence: Evidence = field(default_factory=dict)

    @property
    def batch(self) -> int:
        """Pictures per run."""
        return self.inputs[0].shape[0] or 1


@dataclass(frozen=True)
class Artifact:
    """What a backend's compiler wrote: files below ``folder``, and how to read them."""

    folder: Path
    entry: str
    """Name of the file that the backend opens; the others lie beside it."""
    backend: str
    scheme: Scheme
    normalisation: str
    """Where colour order, mean and std are applied: ``graph``, ``engine`` or ``host``."""
    inputs: tuple[TensorSpec, ...]
    """Of the engine's contract: always fitted uint8 NHWC BGR pictures."""
    outputs: tuple[TensorSpec, ...]
    preprocess: Preprocess
    on_device: bool = False
    """Whether ``entry`` is an ONNX file, of which each device builds and keeps its own engine."""

    @classmethod
    def of(
        cls,
        graph: Graph,
        folder: Path,
        entry: str,
        *,
        backend: str,
        normalisation: str,
        on_device: bool = False,
    ) -> Artifact:
        """What ``backend`` made of ``graph``: it takes and gives what the graph does."""
        return cls(
            folder=folder,
            entry=entry,
            backend=backend,
            scheme=graph.scheme,
            normalisation=normalisation,
            inputs=graph.inputs,
            outputs=graph.outputs,
            preprocess=graph.preprocess,
            on_device=on_device,
        )

    @property
    def path(self) -> Path:
        """The file that the backend opens."""
        return self.folder / self.entry
