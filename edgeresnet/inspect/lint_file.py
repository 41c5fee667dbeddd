"""What the linter says of an ONNX file, a contract graph or anyone's."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgeresnet.core.contract import graph_of, load_onnx, read_metadata
from edgeresnet.core.errors import UsageError
from edgeresnet.core.files import existing_file
from edgeresnet.core.lint import Finding, likely_scheme, lint_file, lint_for
from edgeresnet.core.schema import nearest
from edgeresnet.core.target import Scheme, load_target


@dataclass(frozen=True)
class LintReport:
    """Findings, errors first, and what the file was held to."""

    path: Path
    kind: str
    """``graph`` for a contract graph, ``onnx`` for anyone's file."""
    scheme: Scheme
    because: str
    """Where the scheme comes from: ``scheme``, ``target``, ``graph``, or ``guess`` from Q/DQ."""
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> int:
        """Findings that ``compile`` refuses."""
        return sum(finding.severity == "error" for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        return {
            "kind": self.kind,
            "file": str(self.path),
            "scheme": self.scheme.value,
            "scheme_from": self.because,
            "findings": [asdict(finding) for finding in self.findings],
        }


def lint_onnx(
    path: Path | str, *, target: str | None = None, scheme: str | None = None
) -> LintReport:
    """Hold an ONNX file to a scheme: the one named, the target's, its own, else the likely one.

    With a target also to what its backend can build.
    """
    path = Path(path)
    if path.suffix != ".onnx":
        raise UsageError(
            f"--lint reads ONNX files, {path} is none", hint="lint the graph that it was made from"
        )
    existing_file(path, "lint")
    if target is not None and scheme is not None:
        raise UsageError("--target and --scheme both say for whom", hint="leave one of them out")
    model = load_onnx(path)
    beyond: tuple[Finding, ...] = ()
    graph = graph_of(model, path) if "schema" in read_metadata(model) else None
    if scheme is not None:
        chosen, because = _named(scheme), "scheme"
    elif target is not None:
        profile = load_target(target)
        chosen, because = profile.scheme, "target"
        beyond = lint_for(model, profile.backend)
    elif graph is not None:
        chosen, because = graph.scheme, "graph"
    else:
        chosen, because = likely_scheme(model), "guess"
    kind = "onnx" if graph is None else "graph"
    return LintReport(path, kind, chosen, because, (*beyond, *lint_file(path, chosen)))


def _named(scheme: str) -> Scheme:
    try:
        return Scheme(scheme)
    except ValueError as error:
        hint = nearest(scheme, [member.value for member in Scheme])
        raise UsageError(f"--scheme: no {scheme!r}", hint=hint) from error
