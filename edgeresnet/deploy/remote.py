"""A bundle on another machine: copied, proved and timed there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeresnet.core.bundle import Bundle, read_bundle
from edgeresnet.core.errors import DeviceError, ModelError
from edgeresnet.core.progress import Progress, silent
from edgeresnet.deploy.address import Address
from edgeresnet.deploy.copying import (
    Place,
    check_place,
    check_space,
    copy,
    discard,
    look,
    name_of,
    size_bytes,
    take_its_place,
)
from edgeresnet.deploy.device import Device, extra_of, reached
from edgeresnet.deploy.lock import alone, check_sessions

FOLDER = "edgeresnet"
"""Below the home there."""
SECONDS = 10.0
_COMPILED, _TIMED = ("digest", "golden_error"), ("engine", "fps", "fingerprint")
_SHAPES = (KeyError, TypeError, ValueError, OverflowError)
"""Raised by figures of another shape."""


def _nobody(_line: str) -> None:
    pass


@dataclass(frozen=True)
class Proof:
    """The figures of ``compile`` there."""

    golden_error: float
    int8_share: float | None


@dataclass(frozen=True)
class Speed:
    """The figures of ``benchmark`` there."""

    p50_ms: float
    """Of the engine, one frame."""
    p99_ms: float
    fps: float
    """End to end."""
    machine: str


@dataclass(frozen=True)
class RemoteReport:
    """What a bundle is on the machine that will run it."""

    bundle: Bundle
    """As it is here."""
    host: str
    folder: str
    """The bundle's path there."""
    command: tuple[str, ...]
    """How edgeresnet is called there."""
    version: str
    """Of edgeresnet there."""
    copied_by: str
    """``rsync`` or ``tar``; empty when the bundle was there already."""
    compiled: dict[str, Any]
    """What ``compile --on-device --json`` told there."""
    benchmark: dict[str, Any]
    """What ``benchmark --json`` told there."""
    proof: Proof
    speed: Speed
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        return {
            "host": self.host,
            "bundle": self.folder,
            "digest": self.compiled["digest"],
            "edgeresnet": self.version,
            "command": list(self.command),
            "copied_by": self.copied_by or None,
            "golden_error": self.compiled["golden_error"],
            "int8_share": self.compiled.get("int8_share"),
            "engine_latency_ms": self.benchmark["engine"]["latency_ms"],
            "fps": self.benchmark["fps"],
            "fingerprint": self.benchmark["fingerprint"],
            "compile": self.compiled,
            "benchmark": self.benchmark,
            "notes": list(self.notes),
        }


def check_device(
    address: Address,
    *,
    command: Sequence[str] = (),
    extra: str = "",
    tell: Callable[[str], None] = _nobody,
) -> None:
    """Raise if the machine cannot be reached or has no edgeresnet, before hours of work."""
    with reached(address, command=command, extra=extra, tell=tell) as device:
        check_sessions(device.connection)


def deploy_to(
    bundle: Path | str,
    address: Address,
    *,
    folder: str = FOLDER,
    command: Sequence[str] = (),
    seconds: float = SECONDS,
    require_int8: float | None = None,
    force: bool = False,
    progress: Progress = silent,
    tell: Callable[[str], None] = _nobody,
) -> RemoteReport:
    """Copy ``bundle`` to another machine, make its engine there, prove it and time it.

    It is copied under a name beside its own, verified and proved, and only then named: what runs
    there never sees half a bundle, and one that fails there replaces none that works. ``force``
    replaces another bundle of the same name. Both ends check every byte. There is one deploy of a
    name to a folder at a time.
    """
    verified = read_bundle(Path(bundle))
    name = name_of(verified, folder)
    target = verified.manifest.target
    extra = extra_of(verified.manifest.artifact.backend, target.options)
    with (
        reached(address, command=command, extra=extra, tell=tell) as device,
        alone(device.connection, folder, name),
    ):
        place = look(device.connection, verified, folder)
        check_place(device.host, place, verified, force=force)
        there, copied_by = _bring(device, verified, place, progress)
        gate = ("--require-int8", f"{require_int8:g}") if require_int8 is not None else ()
        compiled = device.call("compile", there, "--on-device", *gate, needs=_COMPILED)
        proof = _proof(device, compiled)
        if there != place.path:
            take_its_place(device.connection, place)
        benchmark = device.call("benchmark", place.path, "--seconds", f"{seconds:g}", needs=_TIMED)
        speed = _speed(device, benchmark)
    return RemoteReport(
        verified,
        device.host,
        place.path,
        device.command,
        device.version,
        copied_by,
        {**compiled, "bundle": place.path},
        benchmark,
        proof,
        speed,
        device.notes,
    )


def _proof(device: Device, told: dict[str, Any]) -> Proof:
    try:
        share = told.get("int8_share")
        return Proof(float(told["golden_error"]), None if share is None else float(share))
    except _SHAPES as error:
        raise device.strange("compile", "figures that are known here") from error


def _speed(device: Device, told: dict[str, Any]) -> Speed:
    try:
        engine, machine = told["engine"]["latency_ms"], told["fingerprint"]
        return Speed(
            float(engine["p50"]),
            float(engine["p99"]),
            float(told["fps"]),
            f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}",
        )
    except _SHAPES as error:
        raise device.strange("benchmark", "figures that are known here") from error


def _bring(device: Device, bundle: Bundle, place: Place, progress: Progress) -> tuple[str, str]:
    """Where every byte of ``bundle`` is there now, and the tool that copied it."""
    if place.digest == bundle.digest:
        if _is_whole(device, bundle, place.path):
            device.tell(f"{device.host}: {place.path} is this bundle already")
            return place.path, ""
        device.tell(f"{device.host}: {place.path} is damaged: copied again")
    elif place.begun and _is_whole(device, bundle, place.part_path):
        device.tell(f"{device.host}: {place.part_path} was copied before")
        return place.part_path, ""
    check_space(device.host, place, bundle)
    device.tell(f"{device.host}: copying {size_bytes(bundle) / 1e6:.1f} MB to {place.path}")
    copied_by = copy(device.connection, bundle, place, progress)
    if not _is_whole(device, bundle, place.part_path):
        discard(device.connection, place)
        raise DeviceError(
            f"the copy on {device.host} is damaged: not what was sent",
            hint="run it again; should it stay so, look at the disk and memory there",
        )
    return place.part_path, copied_by


def _is_whole(device: Device, bundle: Bundle, path: str) -> bool:
    """Whether edgeresnet there finds every byte of ``bundle`` at ``path``."""
    try:
        return device.call("inspect", path).get("digest") == bundle.digest
    except ModelError:
        return False
