"""The device a model is compiled for, as told by a file in ``targets/``."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import Field, model_validator

from edgeresnet.core.errors import ProfileError
from edgeresnet.core.jetson import retired
from edgeresnet.core.schema import Schema, nearest, parse, read_toml
from edgeresnet.core.shipped import profiles, shipped

Option: TypeAlias = str | int | float | bool
Options: TypeAlias = Mapping[str, Option]
"""Settings of a vendor's compiler, by the vendor's own names."""


class Scheme(str, Enum):
    """How INT8 is written into a graph; ``float`` is a graph without Q/DQ."""

    FLOAT = "float"
    U8_AFFINE = "u8-affine"
    """Activations uint8 with a zero point, weights int8 per channel: OpenVINO, ONNX Runtime."""
    S8_SYMMETRIC = "s8-symmetric"
    """Everything int8 with zero point 0: TensorRT."""


Precision: TypeAlias = Literal["int8", "float16", "bfloat16", "float32"]


class JetPack(Schema):
    """A release of JetPack that a profile is for."""

    jetpack: str
    tensorrt: str
    """What it comes with."""


class Published(Schema):
    """What someone else published for ResNet-50 at 224x224 on this device; never our figure."""

    precision: Precision
    batch: int | None = Field(None, gt=0)
    """Pictures of one run; none where that was not told."""
    latency_ms: float | None = Field(None, gt=0)
    """Of one run."""
    fps: float | None = Field(None, gt=0)
    power_mode: str = ""
    """As they call it; empty where they do not tell."""
    runtime: str
    """What was run, and what of it was timed."""
    source: str
    """Who published it, where."""

    @model_validator(mode="after")
    def _has_a_figure(self) -> Published:
        if self.latency_ms is None and self.fps is None:
            raise ValueError("a published figure needs latency_ms or fps")
        return self


class Target(Schema):
    """One device profile."""

    name: str
    description: str
    backend: str
    device: str
    """The vendor's name for the device: an execution provider, ``CPU``, ``cuda:0``."""
    scheme: Scheme
    """The INT8 scheme that ``quantize`` writes for this device."""
    weight_bits: Literal[7, 8] = 8
    """7 where the device adds pairs of INT8 products in 16 bits, which full weights overflow: x86
    before VNNI."""
    architecture: str = ""
    """``x86_64``, ``aarch64``, or empty for any."""
    memory_mb: int = Field(gt=0)
    """Memory that a run may count on."""
    compute_capability: str = Field("", pattern=r"^(\d+\.\d+)?$")
    """Of an NVIDIA GPU, as ``8.7``; empty where it is another device, or any such GPU."""
    precisions: tuple[Precision, ...] = ()
    """What engines are built in there; empty where the backend finds out."""
    jetpacks: tuple[JetPack, ...] = ()
    power_modes: tuple[str, ...] = ()
    """As ``nvpmodel`` calls them, the most sparing first."""
    published: tuple[Published, ...] = ()
    options: dict[str, Option] = {}
    """Settings handed to the vendor's compiler as they are."""

    def with_options(self, options: Options) -> Target:
        """The same device with ``options`` over its own."""
        return self.model_copy(update={"options": {**self.options, **options}})


def target_names() -> list[str]:
    """Names of the profiles that ship with edgeresnet, sorted."""
    return profiles("targets")


def load_target(name: str) -> Target:
    """Read the shipped profile ``name``, or the profile in the file ``name`` (``*.toml``)."""
    path = Path(name)
    if path.suffix != ".toml":
        path = shipped("targets") / f"{name}.toml"
        if "/" in name or not path.is_file():
            if board := retired(name):
                boards = (one for one in target_names() if one.startswith("jetson-"))
                raise ProfileError(
                    f"target {name!r}: {board.reason}", hint=f"supported: {', '.join(boards)}"
                )
            raise ProfileError(f"no target named {name!r}", hint=nearest(name, target_names()))
    what = f"target {path.stem}"
    table = read_toml(path, what)
    if "name" in table:
        raise ProfileError(f"{what}: unknown key 'name'", hint="the file's name is the name")
    return parse(Target, {**table, "name": path.stem}, what)
