"""INT8 beside float on the gate's pictures, picture by picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edgeresnet.core.contract import batch_of
from edgeresnet.core.cores import cores
from edgeresnet.core.errors import ModelError
from edgeresnet.core.preprocess import Preprocess
from edgeresnet.core.progress import Progress, silent
from edgeresnet.core.tensors import Pixels
from edgeresnet.datasets.pictures import Entry, Listing, Unreadable, fitted
from edgeresnet.flow.golden import Signature, batch_feeds
from edgeresnet.flow.ordered import ordered
from edgeresnet.quantize.flips import Flip, label_flips, turns
from edgeresnet.quantize.gate import Gate, judge, judge_vectors
from edgeresnet.quantize.statistics import OpenModel

if TYPE_CHECKING:
    import onnx

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Verdict:
    """One INT8 graph, judged."""

    gate: Gate
    logit_error: float
    """Root of the centred logits' squared error, by that of their square; of a detector's or an
    embedder's, of its task's signature."""
    flips: tuple[Flip, ...]
    """The worst first."""


@dataclass(eq=False)
class Judge:
    """Runs graphs over the same pictures as the float graph, whose logits are found once."""

    model: onnx.ModelProto
    listing: Listing
    preprocess: Preprocess
    classes: Mapping[Path, int]
    """Empty where the pictures have no classes."""
    max_drop: float
    unreadable: Unreadable
    open_model: OpenModel
    signature: Signature
    """The task's: of a classifier its logits, of an embedder its vector."""
    vectors: bool = False
    """Whether it is an embedder that is judged."""
    jobs: int | None = None
    progress: Progress = silent

    def judge(self, int8: onnx.ModelProto, what: str = "judge") -> Verdict:
        """How ``int8`` does; raises UsageError when no picture is readable."""
        exact = self._float
        rounded = self._run(int8, what)[1]
        if not np.isfinite(rounded).all():
            raise ModelError("the INT8 graph gives values that are not finite")
        paths = self._paths
        truth = [self.classes.get(path, -1) for path in paths] if self.classes else None
        centred = exact - exact.mean(1, keepdims=True)
        off = centred - (rounded - rounded.mean(1, keepdims=True))
        error = float(np.sqrt(np.square(off).sum() / max(np.square(centred).sum(), 1e-30)))
        if self.vectors:
            gate = judge_vectors(exact, rounded, self.max_drop)
            return Verdict(gate, error, turns(paths, exact, rounded))
        gate = judge(exact, rounded, truth, self.max_drop)
        return Verdict(gate, error, label_flips(paths, exact, rounded, truth))

    @cached_property
    def first_pictures(self) -> list[Pixels]:
        """The first few that are readable, fitted: for what needs only some."""
        readable = fitted(self.listing.entries, self.preprocess, Unreadable({}))
        return [pixels for _, pixels in islice(readable, FIRST)]

    @cached_property
    def _reference(self) -> tuple[list[Path], Floats]:
        return self._run(self.model, "judge float")

    @property
    def _float(self) -> Floats:
        return self._reference[1]

    @property
    def _paths(self) -> list[Path]:
        return self._reference[0]

    def _run(self, model: onnx.ModelProto, what: str) -> tuple[list[Path], Floats]:
        run = self.open_model(model.SerializeToString(), threads=1)
        batch = batch_of(model)

        def logits(item: tuple[Entry, Pixels]) -> tuple[Path, Floats]:
            entry, pixels = item
            return entry.path, np.array(self.signature(run(batch_feeds(pixels, batch))))

        paths, rows = [], []
        total = len(self.listing.entries)
        pictures = fitted(self.listing.entries, self.preprocess, self.unreadable)
        for path, row in ordered([logits] * (self.jobs or cores()), pictures):
            paths.append(path)
            rows.append(row)
            self.progress(what, len(rows), total)
        self.unreadable.raise_if_all(len(rows), "--eval")
        return paths, np.stack(rows)


FIRST = 64
"""As many as advice on speed can use."""
