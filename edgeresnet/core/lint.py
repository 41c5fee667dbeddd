"""Refuse a Q/DQ graph that a vendor would refuse or silently misread."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from edgeresnet.core.contract import load_onnx, onnx_package
from edgeresnet.core.errors import ModelError
from edgeresnet.core.lint_rules import Finding, external_data
from edgeresnet.core.lint_schemes import OF_BACKEND, RULES
from edgeresnet.core.target import Scheme
from edgeresnet.core.wiring import wiring

if TYPE_CHECKING:
    import onnx

__all__ = ["Finding", "likely_scheme", "lint", "lint_file", "lint_for", "raise_on_errors"]


def lint(model: onnx.ModelProto, scheme: Scheme) -> tuple[Finding, ...]:
    """What is wrong with a checked graph for the targets of ``scheme``, errors first."""
    graph = wiring(model)
    found = [finding for rule in RULES[scheme] for finding in rule(graph)]
    return tuple(sorted(found, key=lambda finding: finding.severity != "error"))


def lint_for(model: onnx.ModelProto, backend: str) -> tuple[Finding, ...]:
    """What one backend builds no engine of, whatever the scheme."""
    graph = wiring(model)
    return tuple(finding for rule in OF_BACKEND.get(backend, ()) for finding in rule(graph))


def lint_file(path: Path, scheme: Scheme) -> tuple[Finding, ...]:
    """The same of a file, which also tells whether its weights are its own."""
    model = load_onnx(path)
    as_written = onnx_package().load(str(path), load_external_data=False)
    return (*external_data(wiring(as_written)), *lint(model, scheme))


def likely_scheme(model: onnx.ModelProto) -> Scheme:
    """The scheme that a graph seems to be in, biases apart, judged by its zero points."""
    steps = [step for step in wiring(model).steps.values() if step.kind != "int32"]
    if not steps:
        return Scheme.FLOAT
    centred = all(step.zero_point is None or not step.zero_point.any() for step in steps)
    signed = all(step.kind in ("int8", "") for step in steps)
    return Scheme.S8_SYMMETRIC if centred and signed else Scheme.U8_AFFINE


def raise_on_errors(findings: Iterable[Finding], path: Path, target: str = "") -> None:
    """ModelError that names the first error and counts the others; warnings pass.

    ``target`` is the one that they were linted for.
    """
    errors = [finding for finding in findings if finding.severity == "error"]
    if errors:
        first, *others = errors
        more = f" (and {len(others)} more)" if others else ""
        of = f" --target {target}" if target else ""
        raise ModelError(
            f"{path}: {first}{more}",
            hint=f"{first.fix}; edgeresnet inspect --lint {path}{of} shows them all",
        )
