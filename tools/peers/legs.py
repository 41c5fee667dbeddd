"""The quantizers that are compared, each run in a process of its own."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_MEASURE = Path(__file__).parent / "measure.py"
_PEER_SCRIPT = Path(__file__).parents[1] / "quantize_with_peer.py"
GRAPH = "GRAPH"
_SCHEMES = ("u8-affine", "s8-symmetric")
PRESETS = ("nncf MIXED", "nncf PERFORMANCE")
"""Names of the legs that ours are held against."""
_PEERS = {
    PRESETS[0]: ("nncf-mixed", ".xml"),
    PRESETS[1]: ("nncf-performance", ".xml"),
    "onnxruntime MinMax": ("onnxruntime-minmax", ".onnx"),
}


class LegError(Exception):
    """A quantizer failed; the message ends with what it said last."""


@dataclass(frozen=True)
class Leg:
    """One quantizer with its settings."""

    name: str
    command: tuple[str, ...]
    """``GRAPH`` in it is the graph's place: a copy in a folder of the leg's own, since our command
    keeps what calibration saw beside its graph, and the next leg would be spared the work."""
    result: Path
    """ONNX, or OpenVINO's IR (``.xml``)."""
    ours: bool = False
    scheme: str = ""
    """Of ours, where the options name it."""


@dataclass(frozen=True)
class Inputs:
    """What every leg calibrates with."""

    listing: Path
    """CSV of the calibration pictures: exactly those of ``fitted``."""
    samples: int
    gate: Path
    """CSV of a few pictures. Our command always judges what it made; judging is not calibrating,
    and no peer does it, so it gets no more than it needs to start."""
    fitted: Path
    """The calibration pictures as ``.npy``, uint8 NHWC BGR, for the peers."""
    models: Path
    """Where the quantized graphs go."""


def our_legs(inputs: Inputs, label: str, options: Sequence[str]) -> list[Leg]:
    """Our command with extra ``options``, once a scheme unless they name one."""
    given = {o.partition("=")[0] for o in options}
    if given & {"--scheme", "--target"}:
        words = [word for option in options for word in option.split("=")]
        named = words[words.index("--scheme") + 1] if "--scheme" in words else ""
        return [_our_leg(inputs, f"ours {label}", options, named)]
    return [
        _our_leg(
            inputs,
            f"ours {scheme}{f' [{label}]' if label else ''}",
            ("--scheme", scheme, *options),
            scheme,
        )
        for scheme in _SCHEMES
    ]


def _our_leg(inputs: Inputs, name: str, options: Sequence[str], scheme: str) -> Leg:
    result = inputs.models / f"{_slug(name)}.onnx"
    command = (
        *(sys.executable, "-m", "edgeresnet", "quantize", GRAPH),
        *("--images", str(inputs.listing), "--samples", str(inputs.samples)),
        *("--eval", str(inputs.gate), "--max-drop", "100"),  # a bad result is to be seen, not lost
        *options,
        *("-o", str(result)),
    )
    return Leg(name, command, result, ours=True, scheme=scheme)


def variant(text: str) -> tuple[str, tuple[str, ...]]:
    """Label and options of ``--ours``: ``LABEL=OPTIONS``, or the options, which label then."""
    label, equals, rest = text.partition("=")
    if equals and not label.strip().startswith("-"):
        return label.strip(), tuple(shlex.split(rest))
    return text.strip(), tuple(shlex.split(text))


def peer_legs(inputs: Inputs, python: Path) -> list[Leg]:
    """The peers, run by their environment's ``python``."""
    legs = []
    for name, (peer, suffix) in _PEERS.items():
        result = inputs.models / f"{_slug(name)}{suffix}"
        files = (str(path) for path in (inputs.fitted, result))
        legs.append(Leg(name, (str(python), str(_PEER_SCRIPT), peer, GRAPH, *files), result))
    return legs


def run_leg(leg: Leg, graph: Path, logs: Path) -> dict[str, Any]:
    """Run one leg alone: its wall seconds, its peak memory, and what a peer says of itself."""
    leg.result.unlink(missing_ok=True)
    stem = _slug(leg.name)
    said, complained, cost = (logs / f"{stem}.{suffix}" for suffix in ("out", "err", "json"))
    small = (sys.executable, "-I", "-S", str(_MEASURE), str(cost))
    with (
        tempfile.TemporaryDirectory(dir=logs) as own,
        said.open("wb") as out,
        complained.open("wb") as err,
    ):
        copy = shutil.copy(graph, Path(own) / graph.name)
        command = [str(copy) if word == GRAPH else word for word in leg.command]
        done = subprocess.run([*small, *command], stdout=out, stderr=err, check=False)
    if done.returncode or not leg.result.exists():
        tail = "\n".join(complained.read_text(errors="replace").strip().splitlines()[-5:])
        raise LegError(f"{leg.name} failed, see {complained}\n{tail}")
    measured: dict[str, Any] = {"name": leg.name, **json.loads(cost.read_text(encoding="utf-8"))}
    if not leg.ours:
        last = said.read_text(encoding="utf-8").strip().splitlines()[-1]
        measured.update(json.loads(last))
    return measured


def _slug(name: str) -> str:
    words = "".join(c if c.isalnum() else " " for c in name.lower()).split()
    return "-".join(words)
