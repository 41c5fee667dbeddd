"""What a target's options say to TensorRT."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from edgeresnet.core.errors import ProfileError
from edgeresnet.core.schema import Schema, parse
from edgeresnet.core.target import Target


class Settings(Schema):
    """``[options]`` of a target whose backend is ``tensorrt``."""

    module: Literal["tensorrt", "tensorrt_rtx", "tensorrt_bindings"] = "tensorrt"
    """Python module: TensorRT's, TensorRT-RTX's, or the bindings alone."""
    precision: Literal["float32", "float16"] = "float32"
    """What is not INT8 is computed in this."""
    typing: Literal["strong", "weak"] = "strong"
    """``strong``: the graph's own types decide, the only way in TensorRT 11. ``weak``: flags permit
    INT8 and FP16, the only way in TensorRT 8."""
    workspace_mb: int = Field(0, ge=0)
    """Scratch memory of the fastest kernels, at most; 0: half of what is free, up to 2 GB."""
    optimization_level: int = Field(3, ge=0, le=5)
    """How long the builder searches; 3 is TensorRT's own default."""
    batch_min: int = Field(1, ge=1)
    """Of a graph with a free batch: the smallest, the usual and the largest."""
    batch_opt: int = Field(1, ge=1)
    batch_max: int = Field(8, ge=1)
    cuda_graph: Literal["measure", "on", "off"] = "measure"
    """Whether a run is launched as one recorded graph; ``measure`` takes what is faster here."""

    @property
    def batches(self) -> tuple[int, int, int]:
        """Smallest, usual and largest batch."""
        return self.batch_min, self.batch_opt, self.batch_max


def settings_of(target: Target) -> Settings:
    """The settings of a target; ProfileError names an option that does not exist."""
    what = f"options of target {target.name}"
    found = parse(Settings, target.options, what)
    if not found.batch_min <= found.batch_opt <= found.batch_max:
        raise ProfileError(f"{what}: batch_min <= batch_opt <= batch_max, got {found.batches}")
    return found
