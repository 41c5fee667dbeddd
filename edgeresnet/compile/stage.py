"""Graph to bundle: checks, the vendor's compiler, golden inputs, proof, seal."""

from __future__ import annotations

import platform
from collections import Counter
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import numpy.typing as npt

import edgeresnet
from edgeresnet.backends import get_backend, in_precision, precision_of
from edgeresnet.backends.onnxruntime.halves import in_single
from edgeresnet.backends.onnxruntime.reference import open_model
from edgeresnet.core.artifacts import Artifact, Graph
from edgeresnet.core.bundle import (
    GOLDEN,
    SCHEMA_VERSION,
    ArtifactEntry,
    Bundle,
    GoldenEntry,
    LabelsEntry,
    Manifest,
    TensorEntry,
    digests,
    is_sealed,
    read_bundle,
    seal,
)
from edgeresnet.core.contract import load_onnx, read_graph
from edgeresnet.core.errors import GateError, ModelError, UsageError
from edgeresnet.core.files import check_output, whole_folder
from edgeresnet.core.lint import lint_file, lint_for, raise_on_errors
from edgeresnet.core.preprocess import Preprocess, fit
from edgeresnet.core.progress import Progress, silent
from edgeresnet.core.protocols import Backend, Mode, Task
from edgeresnet.core.target import Scheme, Target, load_target
from edgeresnet.core.tensors import Pixels, TensorSpec
from edgeresnet.datasets.procedural import draw_picture
from edgeresnet.flow.golden import HALF_TOLERANCE, TOLERANCE, golden_error, signatures
from edgeresnet.tasks import make_task, signature_version

_GOLDEN_PICTURES = 8
_GOLDEN_SEED = 4
_ON_DEVICE = (
    "the engine is built and proved on the device: by edgeresnet compile BUNDLE --on-device there, "
    "or at the first run"
)


@dataclass(frozen=True)
class CompileReport:
    """What ``compile`` made and found."""

    bundle: Bundle
    golden_error: float
    tolerance: float
    notes: tuple[str, ...]


def compile_graph(
    graph: Path | str,
    out: Path | str,
    *,
    target: str = "generic-cpu",
    precision: str | None = None,
    force: bool = False,
    progress: Progress = silent,
) -> CompileReport:
    """Compile the contract graph for ``target`` into the bundle folder ``out``.

    ``precision`` (``float32``, ``bfloat16``, ``float16``) is what a float graph is computed in.
    Raises GateError when the compiled engine does not give ONNX Runtime's logits for the golden
    pictures within tolerance, in any mode that ``run`` may load it in.
    """
    profile = load_target(target)
    read = read_graph(Path(graph))
    out = check_bundle_output(Path(out), force=force)
    notes = (*_check(read, profile), *_lint(read, profile))
    backend = get_backend(profile.backend)
    if precision is not None:
        if read.scheme is not Scheme.FLOAT:
            raise UsageError(f"{graph} is INT8: --precision is for float graphs")
        profile = in_precision(backend, profile, precision)
    half = read.scheme is Scheme.FLOAT and precision_of(backend, profile) != "float32"
    tolerance = HALF_TOLERANCE if half else TOLERANCE[read.scheme]
    progress("golden", 0, 3)
    task = make_task(read.task, read.preprocess, read.labels)
    pictures, expected = _golden(read, task)
    with whole_folder(out, force=force) as folder:
        progress("compile", 1, 3)
        artifact = backend.compile(read, profile, folder)
        progress("prove", 2, 3)
        error = _prove(backend, artifact, profile, task, pictures, expected)
        if error > tolerance:
            who = "'s typed graph" if artifact.on_device else f" {backend.version()}"
            raise GateError(
                f"{backend.name}{who} computes something else than ONNX Runtime: "
                f"relative error {error:.2g} on the golden pictures, {tolerance:g} allowed",
                hint="compile again; if it stays, the network does not suit this backend",
            )
        if artifact.on_device:
            notes = (*notes, _ON_DEVICE)
        np.savez_compressed(folder / GOLDEN, pictures=pictures, expected=expected)
        seal(folder, _manifest(read, profile, backend, artifact, (error, tolerance), folder))
    progress("compile", 3, 3)
    return CompileReport(read_bundle(out), error, tolerance, notes)


def check_bundle_output(out: Path, *, force: bool) -> Path:
    """``out`` when a bundle may be written there; whatever else is there is never replaced."""
    check_output(out, force=force, folder=True)
    if out.exists() and not is_sealed(out) and not (out.is_dir() and not any(out.iterdir())):
        raise UsageError(f"{out} is no bundle: not overwritten", hint="choose another -o")
    return out


def _check(graph: Graph, target: Target) -> tuple[str, ...]:
    notes = []
    if graph.scheme not in (Scheme.FLOAT, target.scheme):
        notes.append(
            f"the graph is quantized as {graph.scheme.value}, {target.name} runs "
            f"{target.scheme.value} faster: quantize with --target {target.name}"
        )
    if target.architecture not in ("", platform.machine()):
        notes.append(f"for {target.architecture}: proved on this {platform.machine()} machine")
    bits = graph.evidence.get("calibration", {}).get("weight_bits", 8)
    if graph.scheme is not Scheme.FLOAT and bits > target.weight_bits:
        raise ModelError(
            f"{graph.path} has {bits}-bit weights: sums overflow on {target.name}, which adds "
            "products in 16 bits",
            hint=f"edgeresnet quantize --target {target.name} writes {target.weight_bits}-bit ones",
        )
    for gate in ("parity", "training_match"):
        if gate not in graph.evidence:
            raise ModelError(f"{graph.path}: no {gate} evidence", hint="convert the weights again")
    for gate, found in sorted(graph.evidence.items()):
        if str(found.get("verdict", "")).startswith(("differs", "outside")):
            notes.append(f"{gate} was refused and forced: {found['verdict']}")
    if graph.evidence["training_match"]["verdict"] == "unchecked":
        notes.append("preprocessing was never checked against the training: convert --images DIR")
    judged = graph.evidence.get("accuracy", {}).get("verdict", "unchecked")
    if graph.scheme is not Scheme.FLOAT and judged == "unchecked":
        notes.append("INT8 was never judged against float: quantize --eval DIR")
    return tuple(notes)


def _lint(graph: Graph, target: Target) -> tuple[str, ...]:
    """Refuse what the vendor would refuse or misread; a note for each kind of warning."""
    findings = lint_file(graph.path, graph.scheme)
    raise_on_errors(findings, graph.path)
    raise_on_errors(lint_for(load_onnx(graph.path), target.backend), graph.path, target.name)
    if target.backend == "tensorrt" and graph.scheme is Scheme.U8_AFFINE:
        raise ModelError(
            f"{graph.path} is quantized as {graph.scheme.value}, TensorRT reads s8-symmetric only",
            hint=f"edgeresnet quantize --target {target.name} on the graph that convert wrote",
        )
    kinds = Counter(finding.rule for finding in findings)
    firsts = {finding.rule: finding for finding in reversed(findings)}
    return tuple(
        f"{firsts[rule]}" + (f" (and {count - 1} more)" if count > 1 else "")
        for rule, count in kinds.items()
    )


def _golden(graph: Graph, task: Task) -> tuple[Pixels, npt.NDArray[np.float32]]:
    """Drawn pictures, and what ONNX Runtime makes of them with the graph as it is."""
    run = open_model(graph.path)
    scenes = [draw_picture(i, seed=_GOLDEN_SEED, size=(256, 256)) for i in range(_GOLDEN_PICTURES)]
    pictures = np.stack([fit(scene.pixels, graph.preprocess) for scene in scenes])
    return pictures, signatures(run, task.signature, pictures, graph.batch)[:, 0]


def _prove(
    backend: Backend,
    artifact: Artifact,
    target: Target,
    task: Task,
    pictures: Pixels,
    expected: npt.NDArray[np.float32],
) -> float:
    """The largest relative error over modes, sessions and pictures.

    Of an engine that each device builds for itself, the file that it builds from is proved here.
    """
    if artifact.on_device:
        batch = artifact.inputs[0].shape[0] or 1
        typed = in_single(load_onnx(artifact.path)).SerializeToString()
        return golden_error(open_model(typed), task.signature, pictures, expected, batch)
    worst = 0.0
    for mode in Mode:
        with backend.load(artifact, target, mode, None) as engine:
            batch = engine.inputs[0].shape[0] or 1
            for _ in range(engine.parallel):
                infer = engine.session().infer
                worst = max(worst, golden_error(infer, task.signature, pictures, expected, batch))
    return worst


def _manifest(
    graph: Graph,
    target: Target,
    backend: Backend,
    artifact: Artifact,
    golden: tuple[float, float],
    folder: Path,
) -> Manifest:
    return Manifest(
        schema_version=SCHEMA_VERSION,
        made_with=_versions(),
        model=f"sha256:{graph.sha256}",
        task=graph.task,
        target=target,
        scheme=graph.scheme,
        preprocess=Preprocess.model_validate(graph.preprocess),
        labels=LabelsEntry(names=graph.labels.names, wordnet=graph.labels.wordnet),
        artifact=ArtifactEntry(
            entry=artifact.entry,
            backend=artifact.backend,
            backend_version="" if artifact.on_device else backend.version(),
            normalisation=artifact.normalisation,
            inputs=_entries(artifact.inputs),
            outputs=_entries(artifact.outputs),
            on_device=artifact.on_device,
        ),
        golden=GoldenEntry(
            pictures=_GOLDEN_PICTURES,
            tolerance=golden[1],
            at_compile=float(f"{golden[0]:.3g}"),
            signature=signature_version(graph.task),
        ),
        files=digests(folder),
        evidence=dict(graph.evidence),
    )


def _entries(specs: tuple[TensorSpec, ...]) -> tuple[TensorEntry, ...]:
    return tuple(TensorEntry(name=s.name, dtype=s.dtype, shape=s.shape) for s in specs)


def _versions() -> dict[str, str]:
    found = {"edgeresnet": edgeresnet.__version__, "python": platform.python_version()}
    for package in ("onnx", "onnxruntime", "openvino", "numpy", "torch"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
