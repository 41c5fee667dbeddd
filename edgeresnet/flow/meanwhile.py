"""Serve on another runtime while the device builds its engine, and hand over once it is proved."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace

from edgeresnet.backends import get_backend
from edgeresnet.core.bundle import Bundle
from edgeresnet.core.cores import cores
from edgeresnet.core.errors import ModelError
from edgeresnet.core.progress import BUILDER, Progress, StoppedError, silent, until_stopped
from edgeresnet.core.protocols import Mode, Session
from edgeresnet.core.target import load_target
from edgeresnet.core.tensors import Tensors
from edgeresnet.flow.opening import OpenBundle, check_golden, open_bundle, prove

_STAND_IN_TARGET = "generic-cpu"
_MOST_SESSIONS = 3
_LEAVE_S = 3.0
_log = logging.getLogger("edgeresnet")


@dataclass
class Handover:
    """How it went so far."""

    stand_in: str
    """Name of the backend that serves first."""
    frames: int = 0
    """Frames that it served."""
    after_s: float | None = None
    """When the bundle's own engine took over, counted from the start; None: not yet."""
    recompiled: int = 0
    """How many times the bundle's own engine was built wrongly."""
    error: Exception | None = None
    """Why it never takes over."""
    _stand_in: ExitStack = field(default_factory=ExitStack, repr=False)
    _serving: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def served(self) -> None:
        """One more frame of the stand-in's."""
        with self._lock:
            self.frames += 1

    def left(self) -> None:
        """One session fewer uses the stand-in; with the last one its memory is freed."""
        with self._lock:
            self._serving -= 1
            if not self._serving:
                self._stand_in.close()

    def as_json(self) -> dict[str, object]:
        """For a run's report."""
        after = round(self.after_s, 1) if self.after_s is not None else None
        return {"backend": self.stand_in, "frames": self.frames, "handed_over_after_s": after}


@dataclass
class _Relay:
    """A session that is another one later; its own thread alone changes over, between frames."""

    handover: Handover
    first: Session | None
    own: Session | None = None

    def infer(self, feeds: Tensors) -> Tensors:
        """Run once on whichever serves now; raises what made the build fail."""
        if self.own is not None:
            if self.first is not None:
                self.first = None
                self.handover.left()
            return self.own.infer(feeds)
        if self.handover.error is not None:
            raise self.handover.error
        assert self.first is not None
        result = self.first.infer(feeds)
        self.handover.served()
        return result


@contextmanager
def open_meanwhile(
    bundle: Bundle, mode: Mode, stand_in: str, *, spare: int = 0, progress: Progress = silent
) -> Generator[OpenBundle]:
    """Open a bundle whose engine the device builds, served by ``stand_in`` until that is proved.

    The stand-in runs the ONNX file that the engine is built from, and is proved on the golden
    pictures as any engine. A build that fails ends the run with its error: frames are never served
    by another runtime for longer than was asked for. The backend of a bundle that brings its engine
    needs no stand-in.
    """
    if not bundle.artifact.on_device:
        with open_bundle(bundle, mode, spare=spare, progress=progress) as opened:
            yield opened
        return
    check_golden(bundle)
    count = (1 if mode is Mode.LATENCY else min(cores(), _MOST_SESSIONS)) + spare
    handover = Handover(stand_in, _serving=count)
    with handover._stand_in:  # noqa: SLF001  its own, closed earlier when all have left
        backend = get_backend(stand_in)
        artifact = replace(bundle.artifact, backend=stand_in)
        engine = handover._stand_in.enter_context(  # noqa: SLF001
            backend.load(artifact, load_target(_STAND_IN_TARGET), mode, None)
        )
        firsts = [engine.session() for _ in range(count)]
        error = max(prove(first, bundle, engine.inputs[0].shape[0] or 1) for first in firsts)
        if error > bundle.manifest.golden.tolerance:
            raise ModelError(
                f"bundle {bundle.folder}: {stand_in} computes something else than was proved: "
                f"relative error {error:.2g}",
                hint="run without --while-building",
            )
        relays = tuple(_Relay(handover, first) for first in firsts)
        del firsts
        with _building(bundle, mode, relays, handover, progress):
            yield OpenBundle(bundle, engine, relays, error, 0, handover)


@contextmanager
def _building(
    bundle: Bundle,
    mode: Mode,
    relays: tuple[_Relay, ...],
    handover: Handover,
    progress: Progress,
) -> Generator[None]:
    """Build in a thread, which holds the engine until the block ends."""
    over = threading.Event()
    begin = time.monotonic()

    def build() -> None:
        told = until_stopped(progress, over)
        try:
            with open_bundle(bundle, mode, sessions=len(relays), progress=told) as opened:
                handover.recompiled = opened.recompiled
                for relay, session in zip(relays, opened.sessions, strict=True):
                    relay.own = session
                handover.after_s = time.monotonic() - begin
                _log.warning(
                    "%s serves from now on: built and proved after %.0f s, %d frames went to %s",
                    bundle.manifest.artifact.backend,
                    handover.after_s,
                    handover.frames,
                    handover.stand_in,
                )
                over.wait()
        except StoppedError:
            pass
        except Exception as error:  # noqa: BLE001  raised again in the next frame's thread
            handover.error = error

    thread = threading.Thread(target=build, name=BUILDER, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(_LEAVE_S)
