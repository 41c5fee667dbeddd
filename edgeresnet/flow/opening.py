"""Open a bundle: every byte checked, every session proved on the golden pictures."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgeresnet.backends import get_backend
from edgeresnet.core.bundle import Bundle, read_bundle
from edgeresnet.core.errors import ModelError
from edgeresnet.core.progress import Progress, silent
from edgeresnet.core.protocols import Engine, Mode, Session
from edgeresnet.flow.golden import golden_error
from edgeresnet.tasks import make_task, signature_version

if TYPE_CHECKING:
    from edgeresnet.flow.meanwhile import Handover

_ATTEMPTS = 4
_ATTEMPTS_ON_DEVICE = 2
"""Of an engine that takes minutes to build."""
_LOCK = "lock"
_KEPT = 16
_OF_A_BUNDLE = "*-" + "[0-9a-f]" * 16


@dataclass(frozen=True)
class OpenBundle:
    """A loaded bundle; each of ``sessions`` gave the golden logits within tolerance."""

    bundle: Bundle
    engine: Engine
    sessions: tuple[Session, ...]
    golden_error: float
    """The largest relative error that any session had."""
    recompiled: int
    """How many times the engine was compiled wrongly and thrown away."""
    handover: Handover | None = None
    """Where another runtime serves while this engine is built: how that goes."""

    @property
    def batch(self) -> int:
        """Pictures per run."""
        return self.engine.inputs[0].shape[0] or 1


@contextmanager
def open_bundle(
    bundle: Path | Bundle,
    mode: Mode,
    *,
    sessions: int | None = None,
    spare: int = 0,
    use_cache: bool = True,
    progress: Progress = silent,
) -> Generator[OpenBundle]:
    """Open a bundle with ``sessions`` sessions, by default as many as keep the engine full.

    ``spare`` more are for streaming: while one worker decodes and fits its next frame, the engine
    still has work (measured on two cores: 15 percent more frames a second with one).

    A session that misses the golden logits means that the compiler or its cache went wrong: the
    engine is thrown away and compiled afresh, a few times, then it is an error. ``progress`` hears
    of an engine that is built here, which takes minutes on a small board.
    """
    bundle = read_bundle(bundle) if isinstance(bundle, Path) else bundle
    manifest = bundle.manifest
    check_golden(bundle)
    backend = get_backend(manifest.artifact.backend)
    cache = _cache_folder(bundle) if use_cache else None
    errors: list[float] = []
    for attempt in range(_ATTEMPTS_ON_DEVICE if bundle.artifact.on_device else _ATTEMPTS):
        with ExitStack() as stack:
            engine = stack.enter_context(
                backend.load(bundle.artifact, manifest.target, mode, cache, progress)
            )
            made = tuple(engine.session() for _ in range((sessions or engine.parallel) + spare))
            error = max(prove(session, bundle, engine.inputs[0].shape[0] or 1) for session in made)
            if error <= manifest.golden.tolerance:
                _tidy(cache)
                yield OpenBundle(bundle, engine, made, error, attempt)
                return
        errors.append(error)
        del made, engine
        if cache is not None:
            _forget(cache)
            cache = cache if bundle.artifact.on_device else None  # its next one shall be kept
    raise ModelError(
        f"bundle {bundle.folder}: {backend.name} {backend.version()} computes something else than "
        f"was proved: relative error {min(errors):.2g} in {len(errors)} compilations, "
        f"{manifest.golden.tolerance:g} allowed",
        hint="another version of the runtime? The manifest's made_with has the one that was proved",
    )


def check_golden(bundle: Bundle) -> None:
    """Refuse a bundle whose golden outputs were kept as something else than is computed here."""
    manifest = bundle.manifest
    known = signature_version(manifest.task)
    if manifest.golden.signature != known:
        raise ModelError(
            f"bundle {bundle.folder} was made by another edgeresnet: its golden outputs are kept "
            f"as signature {manifest.golden.signature} of {manifest.task!r}, this one has {known}",
            hint="compile it again",
        )


def prove(session: Session, bundle: Bundle, batch: int) -> float:
    """The largest relative error of ``session`` on the golden pictures."""
    manifest = bundle.manifest
    task = make_task(manifest.task, manifest.preprocess, bundle.labels)
    return golden_error(session.infer, task.signature, *bundle.golden(), batch)


def _cache_folder(bundle: Bundle) -> Path | None:
    """An owner-only folder for compiled code of this very bundle; none if denied."""
    key = f"{bundle.manifest.artifact.backend}-{bundle.digest[:16]}"
    try:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = home / "edgeresnet" / "engines" / key
        home.mkdir(parents=True, exist_ok=True)
        for ours_alone in (folder.parents[1], folder.parent, folder):  # whatever the umask
            ours_alone.mkdir(mode=0o700, exist_ok=True)
        ours = (folder, *folder.parents[:2])  # who may write above it may put another in its place
        return folder if all(map(_only_we_write, ours)) else None
    except (OSError, RuntimeError):  # the latter: a user without a home
        return None


def _forget(cache: Path) -> None:
    """Delete what is kept; a lock stays, since another process may hold it."""
    with suppress(OSError):
        for file in cache.iterdir():
            if file.is_dir() and not file.is_symlink():
                shutil.rmtree(file, ignore_errors=True)
            elif file.name != _LOCK:
                file.unlink(missing_ok=True)


def _tidy(cache: Path | None) -> None:
    """Keep the folders that were used last; none for a runtime that keeps nothing."""
    if cache is None:
        return
    with suppress(OSError):
        cache.rmdir()  # only an empty one goes
    with suppress(OSError):
        os.utime(cache)
    with suppress(OSError):
        folders = sorted(cache.parent.glob(_OF_A_BUNDLE), key=lambda folder: folder.stat().st_mtime)
        for old in folders[:-_KEPT]:
            shutil.rmtree(old, ignore_errors=True)


def _only_we_write(folder: Path) -> bool:
    found = folder.stat()
    return not found.st_mode & 0o022 and (not hasattr(os, "getuid") or found.st_uid == os.getuid())
