"""The folder that a device runs: engine, labels, golden inputs, and the evidence for them.

::

    resnet50.bundle/
      manifest.json      what this is, and the sha256 of every other file
      manifest.sha256    the seal: the sha256 of manifest.json
      golden.npz         pictures and what ONNX Runtime's outputs for them say
      model.xml ...      the engine's files
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeresnet.core.artifacts import Artifact
from edgeresnet.core.errors import ModelError, UsageError
from edgeresnet.core.files import sha256_file
from edgeresnet.core.labels import Labels
from edgeresnet.core.preprocess import Preprocess
from edgeresnet.core.schema import Schema, parse, read_json
from edgeresnet.core.target import Scheme, Target
from edgeresnet.core.tensors import Pixels, TensorSpec

SCHEMA_VERSION = "1.2"
MANIFEST, SEAL, GOLDEN = "manifest.json", "manifest.sha256", "golden.npz"
_COPY_AGAIN = "copy the bundle again from where it was made, or compile it again"


class TensorEntry(Schema):
    """A :class:`TensorSpec` in the manifest."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]


class ArtifactEntry(Schema):
    """An :class:`Artifact` in the manifest."""

    entry: str
    backend: str
    backend_version: str
    normalisation: str
    inputs: tuple[TensorEntry, ...]
    outputs: tuple[TensorEntry, ...]
    on_device: bool = False


class LabelsEntry(Schema):
    """:class:`Labels` in the manifest."""

    names: tuple[str, ...]
    wordnet: tuple[str, ...] = ()


class GoldenEntry(Schema):
    """How the golden inputs judge an engine."""

    pictures: int
    tolerance: float
    """Largest allowed relative error of the centred logits of one picture."""
    at_compile: float
    """The error that the engine had when it was compiled."""
    signature: int = 1
    """Which of its task's signatures the outputs were kept as; not said before 1.2."""


class Manifest(Schema):
    """``manifest.json``."""

    schema_version: str
    made_with: dict[str, str]
    """Package to version, of what took part."""
    model: str
    """``sha256:`` digest of the graph that was compiled; predictions carry it."""
    task: str
    target: Target
    scheme: Scheme
    preprocess: Preprocess
    labels: LabelsEntry
    artifact: ArtifactEntry
    golden: GoldenEntry
    files: dict[str, str]
    evidence: dict[str, Any]


@dataclass(frozen=True)
class Bundle:
    """A bundle whose every byte was checked against its seal."""

    folder: Path
    manifest: Manifest
    digest: str
    """sha256 of the manifest, and so of everything in the bundle."""

    @property
    def labels(self) -> Labels:
        """Class names in the order of the outputs."""
        return Labels(self.manifest.labels.names, self.manifest.labels.wordnet)

    @property
    def artifact(self) -> Artifact:
        """What the backend opens."""
        entry = self.manifest.artifact
        return Artifact(
            folder=self.folder,
            entry=entry.entry,
            backend=entry.backend,
            scheme=self.manifest.scheme,
            normalisation=entry.normalisation,
            inputs=tuple(TensorSpec(s.name, s.dtype, s.shape) for s in entry.inputs),
            outputs=tuple(TensorSpec(s.name, s.dtype, s.shape) for s in entry.outputs),
            preprocess=self.manifest.preprocess,
            on_device=entry.on_device,
        )

    def golden(self) -> tuple[Pixels, npt.NDArray[np.float32]]:
        """Fitted pictures (n, height, width, 3) and the signatures of ONNX Runtime's outputs."""
        with np.load(self.folder / GOLDEN, allow_pickle=False) as arrays:
            expected = "logits" if "logits" in arrays else "expected"  # the former before 1.1
            return arrays["pictures"], arrays[expected]


def is_bundle(path: Path) -> bool:
    """Whether ``path`` looks like a bundle; :func:`read_bundle` decides."""
    return path.is_dir() and (path / MANIFEST).exists()


def is_sealed(path: Path) -> bool:
    """Whether ``path`` was a bundle once, damaged or not: nothing else has manifest and seal."""
    return (path / MANIFEST).is_file() and (path / SEAL).is_file()


def seal(folder: Path, manifest: Manifest) -> None:
    """Write the manifest and its seal into ``folder``, last."""
    text = manifest.model_dump_json(indent=2) + "\n"
    (folder / MANIFEST).write_text(text, encoding="utf-8")
    digest = hashlib.sha256(text.encode()).hexdigest()
    (folder / SEAL).write_text(f"{digest}  {MANIFEST}\n", encoding="utf-8")


def digests(folder: Path) -> dict[str, str]:
    """Name to sha256, of every file in ``folder`` that the manifest lists."""
    names = sorted(file.name for file in folder.iterdir() if file.name not in (MANIFEST, SEAL))
    return {name: sha256_file(folder / name) for name in names}


def read_bundle(folder: Path) -> Bundle:
    """Open a bundle and check every byte; a file changed, missing or added is an error."""
    if not folder.exists():
        raise UsageError(f"no such bundle: {folder}")
    if not folder.is_dir():
        raise UsageError(
            f"{folder} is not a bundle (a bundle is a folder)", hint="edgeresnet compile makes one"
        )
    if not (folder / MANIFEST).exists():
        raise ModelError(
            f"{folder} is not a bundle: no {MANIFEST}", hint="edgeresnet compile makes one"
        )
    try:
        data = _sealed_manifest(folder)
        what = f"bundle {folder}: {MANIFEST}"
        table = read_json(data, what, ModelError)
        _check_version(str(table.get("schema_version", "")), folder)
        manifest = parse(Manifest, table, what, ModelError)
        _check_files(folder, manifest)
    except OSError as error:
        raise UsageError(f"bundle {folder}: cannot read: {error.strerror}") from error
    return Bundle(folder, manifest, hashlib.sha256(data).hexdigest())


def _sealed_manifest(folder: Path) -> bytes:
    """The manifest's bytes, when they are those that were sealed."""
    for name in (MANIFEST, SEAL):
        _check_plain(folder, name)
    data = (folder / MANIFEST).read_bytes()
    expected = f"{hashlib.sha256(data).hexdigest()}  {MANIFEST}\n".encode()
    if (folder / SEAL).read_bytes() != expected:
        raise ModelError(
            f"bundle {folder}: {MANIFEST} does not match its seal, {SEAL}", hint=_COPY_AGAIN
        )
    return data


def _check_plain(folder: Path, name: str) -> None:
    path = folder / name
    if path.parent != folder or not path.is_file() or path.is_symlink():
        raise ModelError(
            f"bundle {folder}: {name} is missing or no file of its own", hint=_COPY_AGAIN
        )


def _check_version(version: str, folder: Path) -> None:
    if version.split(".", maxsplit=1)[0] != SCHEMA_VERSION.split(".", maxsplit=1)[0]:
        raise ModelError(
            f"bundle {folder}: schema_version {version or 'missing'}, this edgeresnet reads "
            f"{SCHEMA_VERSION.split('.', maxsplit=1)[0]}.x",
            hint="install the edgeresnet that made it, or compile the graph again",
        )


def _check_files(folder: Path, manifest: Manifest) -> None:
    present = {path.name for path in folder.iterdir()}
    if extra := sorted(present - {MANIFEST, SEAL, *manifest.files}):
        raise ModelError(f"bundle {folder}: {extra[0]} is not in the manifest", hint=_COPY_AGAIN)
    for name in (manifest.artifact.entry, GOLDEN):
        if name not in manifest.files:
            raise ModelError(f"bundle {folder}: {MANIFEST} does not list {name}", hint=_COPY_AGAIN)
    for name, expected in manifest.files.items():
        _check_plain(folder, name)
        found = sha256_file(folder / name)
        if found != expected:
            raise ModelError(
                f"bundle {folder}: {name} was changed: sha256 {found[:12]}…, "
                f"expected {expected[:12]}…",
                hint=_COPY_AGAIN,
            )
