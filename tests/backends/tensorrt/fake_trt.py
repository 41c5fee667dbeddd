"""A TensorRT without a GPU: any version's names and no others, driven to any end a real one has.

An engine really computes: ONNX Runtime runs the graph on the memory behind the addresses. A plan
carries version and device, and is refused by another one, altered or cut.
"""

from __future__ import annotations

import math
from pathlib import Path
from types import ModuleType
from typing import Any

import fake_builder
import fake_engine
import numpy as np
from fake_parts import NUMPY, Fake, Faults
from fake_surface import Thing, make_class, make_enumeration, read_surface

_SHORT = {
    "float32": "FLOAT",
    "float16": "HALF",
    "bfloat16": "BF16",
    "int8": "INT8",
    "int32": "INT32",
    "int64": "INT64",
    "int4": "INT4",
    "bool": "BOOL",
    "uint8": "UINT8",
    "fp8": "FP8",
    "fp4": "FP4",
    "e8m0": "E8M0",
}

_ITEMSIZE = {"INT4": 0.5, "FP4": 0.5, "FP8": 1, "BF16": 2}

_DERIVED = {"Logger": "ILogger", "Profiler": "IProfiler"}


def fake_tensorrt(
    version: str = "10.3.0",
    *,
    cuda: Any = None,
    device: str = "Orin",
    capability: str = "8.7",
    without: tuple[str, ...] = (),
    **faults: Any,
) -> Any:
    """A module like that ``version``'s, which runs on ``cuda``'s streams (at once without).

    Versions are the files of ``tests/golden/tensorrt_api``. ``without`` names members to leave
    out, as ``IBuilderConfig.progress_monitor``. ``faults`` are fields of :class:`Faults`.
    """
    if cuda is not None:
        device, capability = cuda.name, "{}.{}".format(*cuda.capability)
    surface = read_surface(version)
    trt = ModuleType("tensorrt_rtx" if version.startswith("rtx") else "tensorrt")
    trt.__version__ = surface.version
    trt.fake = Fake(surface.version, cuda, device, capability, Faults(**faults))
    for path in without:
        owner, _, name = path.rpartition(".")
        surface.names.discard(path)
        members = surface.classes.get(owner)
        for table in (members.calls, members.values, members.properties) if members else ():
            table.pop(name, None)
        surface.classes.pop(path, None)
    for name in surface.names:
        setattr(trt, name, type(name, (), {}) if name[0].isupper() else _unknown(name))
    for path in sorted(surface.classes, key=lambda path: (-path.count("."), path)):
        members = surface.classes[path]
        if members.values and not members.calls:
            made = make_enumeration(path, members.values, _MORE.get(path, {}))
        else:
            base = trt.__dict__[_DERIVED[path]] if path in _DERIVED else Thing
            bases = dict.fromkeys((BEHAVIOURS.get(path, base), base))
            made = make_class(trt, path, members, *bases)
        owner, _, name = path.rpartition(".")
        setattr(trt if not owner else _nested(trt, owner), name, made)
    for owner in ("ILogger", "Logger"):
        _severities(trt, getattr(trt, owner))
    for name, member in _SHORT.items():
        if name in surface.names:
            setattr(trt, name, getattr(trt.DataType, member))
    trt.volume, trt.nptype = math.prod, lambda kind: NUMPY[kind.name]
    trt.init_libnvinfer_plugins = lambda *_: True
    trt.tensorrt = trt
    return trt


def write_module(folder: Path, version: str = "10.3.0", **faults: Any) -> Path:
    """A file ``tensorrt.py`` for a child process whose PYTHONPATH has ``folder`` in it."""
    here = str(Path(__file__).parent)
    lines = [
        f"import sys; sys.path.insert(0, {here!r})",
        "from fake_trt import fake_tensorrt",
        f"sys.modules[__name__] = fake_tensorrt({version!r}, **{faults!r})",
    ]
    file = folder / ("tensorrt_rtx.py" if version.startswith("rtx") else "tensorrt.py")
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def _unknown(name: str) -> Any:
    def call(*arguments: Any, **named: Any) -> Any:
        raise NotImplementedError(f"the fake TensorRT does not do {name}")

    return call


def _nested(trt: Any, owner: str) -> Any:
    """A place for a class within a class that is made later."""
    return trt.__dict__.setdefault("fake_nested", {}).setdefault(owner, type("Within", (), {}))


def _severities(trt: Any, owner: Any) -> None:
    severity = trt.fake_nested["ILogger"].Severity
    owner.Severity = severity
    for name, member in severity.__members__.items():
        setattr(owner, name, member)


def _itemsize(kind: Any) -> float:
    return _ITEMSIZE.get(kind.name) or np.dtype(NUMPY[kind.name]).itemsize


_MORE = {
    "DataType": {"itemsize": property(_itemsize)},
    "ILogger.Severity": {
        "__lt__": lambda self, other: self.value < other.value,
        "__gt__": lambda self, other: self.value > other.value,
    },
}

BEHAVIOURS: dict[str, type[Thing]] = {
    "Builder": fake_builder.BuilderThing,
    "Dims": fake_builder.Dims,
    "EngineInspector": fake_engine.Inspector,
    "IBuilderConfig": fake_builder.Config,
    "ICudaEngine": fake_engine.Engine,
    "IExecutionContext": fake_engine.ExecutionContext,
    "ILayer": fake_builder.Layer,
    "INetworkDefinition": fake_builder.Network,
    "IOptimizationProfile": fake_builder.Profile,
    "ITensor": fake_builder.Tensor,
    "ITimingCache": fake_builder.TimingCache,
    "Logger": fake_builder.Logger,
    "OnnxParser": fake_builder.Parser,
    "ParserError": fake_builder.Refusal,
    "Runtime": fake_engine.RuntimeThing,
}
