"""Engines that were built on this machine, kept for the next start; nobody else's are trusted."""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import logging
import os
import secrets
import time
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from edgeresnet.core.errors import DeviceError
from edgeresnet.core.files import disk_error, whole_file
from edgeresnet.core.progress import Progress, silent

_log = logging.getLogger("edgeresnet")
_KEY_BYTES = 32
_SHARED = "tensorrt-shared"
_WAIT = "wait for the process that builds this engine"
_POLL_S = 0.1
_MOST_BYTES = 4 << 30
"""All plans of all bundles together."""


@dataclass(frozen=True)
class Kept:
    """An engine that was found."""

    plan: bytes
    built_s: float


class Store:
    """Plans in ``folder``, each beside its identity, sealed with a key of this user's.

    ``folder`` belongs to one bundle and to this user alone; what bundles share (the key, timing
    caches) lies in a folder beside it. A plan is trusted when its seal is right: TensorRT executes
    what it deserializes.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._shared = folder.parent / _SHARED
        self._shared.mkdir(mode=0o700, exist_ok=True)

    @contextmanager
    def alone(self, progress: Progress = silent) -> Generator[None]:
        """One process at a time; the lock goes with its process, however that ends."""
        with _locked(self._folder, progress):
            yield

    def find(self, identity: Mapping[str, str]) -> Kept | None:
        """The engine of exactly this identity; one line says why an earlier one is not taken."""
        plan_file, note_file = self._files(identity)
        try:
            note = json.loads(note_file.read_text(encoding="utf-8"))
            plan = plan_file.read_bytes()
            sealed = hmac.compare_digest(self._seal(identity, plan), str(note["seal"]))
            if sealed and note["identity"] == dict(identity):
                os.utime(plan_file)
                return Kept(plan, float(note["built_s"]))
        except FileNotFoundError:
            if reason := self._difference(identity):
                _log.warning("the engine is built again: %s", reason)
            return None
        except (OSError, ValueError, TypeError, KeyError):  # torn, or not ours
            pass
        _log.warning("the engine is built again: the kept one was altered or cut short")
        return None

    def keep(self, identity: Mapping[str, str], plan: bytes, built_s: float) -> None:
        """Write an engine, whole or not at all; a full disk costs the next start, not this run."""
        plan_file, note_file = self._files(identity)
        try:
            with _locked(self._shared, silent):  # who tidies may not see half of an engine
                seal = self._seal(identity, plan)
                note = {"identity": dict(identity), "built_s": round(built_s, 1), "seal": seal}
                with whole_file(plan_file) as temporary:
                    temporary.write_bytes(plan)
                with whole_file(note_file) as temporary:
                    temporary.write_text(json.dumps(note, indent=1), encoding="utf-8")
                for file in (plan_file, note_file):
                    file.chmod(0o600)
                self._trim(plan_file)
        except (DeviceError, OSError) as error:
            for file in (note_file, plan_file):
                with suppress(OSError):
                    file.unlink(missing_ok=True)
            told = error if isinstance(error, DeviceError) else disk_error(error, plan_file)
            _log.warning("the engine cannot be kept and is built at each start: %s", told.what)

    def drop(self, identity: Mapping[str, str]) -> None:
        """Forget an engine that turned out to be of no use."""
        for file in self._files(identity):
            with suppress(OSError):
                file.unlink(missing_ok=True)

    def timing(self, kind: str) -> bytes:
        """The timing cache of a kind of machine; empty when there is none."""
        try:
            data = self._timing_file(kind).read_bytes()
            seal, cache = data[:_KEY_BYTES], data[_KEY_BYTES:]
            return cache if hmac.compare_digest(seal, self._mac(cache)) else b""
        except OSError:
            return b""

    def keep_timing(self, kind: str, cache: bytes) -> None:
        """Keep what a build learned about kernels."""
        if cache:
            with suppress(DeviceError, OSError), whole_file(self._timing_file(kind)) as temporary:
                temporary.write_bytes(self._mac(cache) + cache)

    def last_built_s(self) -> float | None:
        """How long the newest kept engine of this bundle took to build."""
        try:
            newest = _by_use(self._folder.glob("*.json"))[0]
            return float(json.loads(newest.read_text(encoding="utf-8"))["built_s"])
        except (IndexError, OSError, ValueError, TypeError, KeyError):
            return None

    def _files(self, identity: Mapping[str, str]) -> tuple[Path, Path]:
        name = hashlib.sha256(_canonical(identity)).hexdigest()[:32]
        return self._folder / f"{name}.plan", self._folder / f"{name}.json"

    def _timing_file(self, kind: str) -> Path:
        return self._shared / f"timing-{hashlib.sha256(kind.encode()).hexdigest()[:16]}"

    def _seal(self, identity: Mapping[str, str], plan: bytes) -> str:
        return self._mac(_canonical(identity) + b"\0" + plan).hex()

    def _mac(self, data: bytes) -> bytes:
        return hmac.digest(self._key(), data, "sha256")

    def _key(self) -> bytes:
        """The key of this user here; a new one makes all earlier engines strangers."""
        file = self._shared / "key"
        for _ in range(2):
            with suppress(FileNotFoundError):
                key = file.read_bytes()
                if len(key) == _KEY_BYTES:
                    return key
                file.unlink()  # cut short by a power loss
            fresh = self._shared / f"key.{secrets.token_hex(8)}"
            fresh.touch(0o600)
            try:
                with fresh.open("wb") as writer:
                    writer.write(secrets.token_bytes(_KEY_BYTES))
                    writer.flush()
                    os.fsync(writer.fileno())
                with suppress(FileExistsError):  # another process was first
                    os.link(fresh, file)
            finally:
                fresh.unlink()
        return file.read_bytes()

    def _difference(self, identity: Mapping[str, str]) -> str:
        """What an earlier engine of this bundle was built for, where that is not what is here."""
        for file in _by_use(self._folder.glob("*.json")):
            try:
                before = dict(json.loads(file.read_text(encoding="utf-8"))["identity"])
            except (OSError, ValueError, TypeError, KeyError):
                continue
            changed = [
                f"{name} was {before.get(name) or 'nothing'}, is {identity.get(name) or 'nothing'}"
                for name in {**identity, **before}
                if before.get(name) != identity.get(name)
            ]
            return "; ".join(changed)
        return ""

    def _trim(self, newest: Path) -> None:
        """Delete the plans that were used longest ago, over all bundles, until the rest fits."""
        room = _MOST_BYTES - _size(newest)
        for plan in _by_use(self._folder.parent.glob("*/*.plan")):
            if plan == newest:
                continue
            room -= _size(plan)
            if room < 0 or not plan.with_suffix(".json").exists():
                with suppress(OSError):
                    plan.unlink()
                    plan.with_suffix(".json").unlink(missing_ok=True)


@contextmanager
def _locked(folder: Path, progress: Progress) -> Generator[None]:
    """Alone among all processes of this user; ``progress`` may end the wait by raising."""
    with (folder / "lock").open("w", encoding="ascii") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                progress(_WAIT, 0, 1)
                time.sleep(_POLL_S)
        yield


def _by_use(files: Iterable[Path]) -> list[Path]:
    """The newest first; others may delete files at any time."""
    times = {}
    for file in files:
        with suppress(OSError):
            times[file] = file.stat().st_mtime
    return sorted(times, key=times.__getitem__, reverse=True)


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _canonical(identity: Mapping[str, str]) -> bytes:
    return json.dumps(dict(identity), sort_keys=True).encode()
