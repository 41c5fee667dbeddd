"""What a checkpoint holds, told without building its network."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgeresnet.convert.checkpoint import Checkpoint, read_checkpoint
from edgeresnet.convert.detector import spec_of
from edgeresnet.convert.networks import (
    ResNetSpec,
    arch_name,
    detector_name,
    infer_spec,
    is_detector,
)
from edgeresnet.core.errors import ModelError

_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


@dataclass(frozen=True)
class CheckpointReport:
    """A checkpoint, and the network that its shapes belong to."""

    checkpoint: Checkpoint
    spec: ResNetSpec | None
    """None when the weights are of no ResNet that edgeresnet knows; ``unknown`` says why. Of a
    detector: its backbone, with the classes that the detector has."""
    unknown: str = ""
    detector: str = ""
    """The detector's name; empty for a classifier."""

    @property
    def arch(self) -> str | None:
        """The network's name; None when it is not known."""
        return self.detector or (None if self.spec is None else arch_name(self.spec))

    @property
    def parameters(self) -> int:
        """Number of trained values; BatchNorm's statistics are not trained."""
        state = self.checkpoint.state
        return sum(v.numel() for k, v in state.items() if not k.endswith(_STATISTICS))

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        checkpoint, spec = self.checkpoint, self.spec
        report: dict[str, Any] = {
            "kind": "checkpoint",
            "file": str(checkpoint.path),
            "sha256": checkpoint.sha256,
            "arch": self.arch,
            "task": "detect" if self.detector else "classify",
            "parameters": self.parameters,
            "stride_in": checkpoint.stride_in,
            "preprocess": None
            if checkpoint.preprocess is None
            else checkpoint.preprocess.model_dump(mode="json"),
            "labels": 0 if checkpoint.labels is None else len(checkpoint.labels),
        }
        if spec is None:
            keys = {name: list(shape) for name, shape in checkpoint.shapes.items()}
            return {**report, "unknown": self.unknown, "keys": keys}
        return {
            **report,
            "classes": spec.classes,
            "width": spec.width,
            "input_channels": spec.in_channels,
        }


def describe_checkpoint(path: Path | str) -> CheckpointReport:
    """Read a checkpoint, nothing in it executed, and tell its network from its shapes."""
    checkpoint = read_checkpoint(Path(path))
    if is_detector(checkpoint.state):
        try:
            found = spec_of(checkpoint)
        except ModelError as error:
            return CheckpointReport(checkpoint, None, error.what)
        backbone = replace(found.backbone, classes=found.classes)
        return CheckpointReport(checkpoint, backbone, detector=detector_name(found))
    try:
        return CheckpointReport(checkpoint, infer_spec(checkpoint.shapes))
    except ValueError as error:
        return CheckpointReport(checkpoint, None, str(error))
