"""Whether pictures reach a network as they did in its training.

A BatchNorm keeps the mean and variance that its channels had while training. Pictures that go
through another colour order, scaling or stride give other statistics at once: every setting in
which networks are commonly trained is tried, and the best one told (:mod:`judging`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from edgeresnet.core.contract import NORMALISED, copy_of
from edgeresnet.core.preprocess import Preprocess
from edgeresnet.core.progress import Progress, silent
from edgeresnet.core.tensors import Pixels, Tensors
from edgeresnet.match.candidates import Candidate, candidates
from edgeresnet.match.judging import Gathered, Verdict
from edgeresnet.match.moments import Moments, NormStatistics, moments_of, with_moments
from edgeresnet.match.stride import acts_on, move_stride, stride_of

if TYPE_CHECKING:
    import onnx

Run: TypeAlias = Callable[[Tensors], Tensors]
OpenModel: TypeAlias = Callable[[bytes], Run]
"""Loads an ONNX model and returns what runs it."""

PICTURES = 48
"""Enough pictures; fewer than :data:`FEWEST` decide nothing."""
FEWEST = 8
_NORMALISATION_PICTURES = 16
"""A wrong normalisation shows on few pictures already."""
_WAYS = {"color": "channel order", "normalisation": "mean and std", "stride_in": "stride"}


@dataclass(frozen=True)
class TrainingMatch:
    """What the probe found; the given setting comes first."""

    verdicts: tuple[Verdict, ...]
    """Every candidate tried, beside the given one."""
    best: Verdict
    """The candidate to take: the given one unless another is clearly better."""
    pictures: int
    untold: tuple[str, ...] = ()
    """The ways in which a candidate differs that could not be told from the best: ``color``,
    ``normalisation``, ``stride_in``."""

    @property
    def matches(self) -> bool:
        """Whether the given setting holds."""
        return self.best is self.verdicts[0]

    @property
    def note(self) -> str:
        """What these pictures do not tell; empty when they tell everything."""
        ways = " and ".join(_WAYS[way] for way in self.untold)
        return f"these pictures cannot tell the {ways}" if ways else ""

    def as_evidence(self) -> dict[str, Any]:
        """For the graph's metadata and the manifest."""
        return {
            "verdict": "matches" if self.matches else f"differs: {self.best.candidate.name}",
            **({"note": self.note} if self.untold else {}),
            "pictures": self.pictures,
            "candidates": [
                {
                    "name": v.candidate.name,
                    "divergence": round(v.divergence, 5),
                    "first_layer": round(v.first_layer, 5),
                    "log_ratio": round(v.log_ratio, 3),
                    "t": round(v.t, 1),
                    "better_share": round(v.share, 3),
                    "surer_t": None if v.surer_t is None else round(v.surer_t, 1),
                }
                for v in self.verdicts
            ],
        }


def probe(
    body: onnx.ModelProto,
    statistics: Mapping[str, NormStatistics],
    given: Preprocess,
    fitted: Sequence[Pixels],
    open_model: OpenModel,
    progress: Progress = silent,
    *,
    any_size: bool = False,
) -> TrainingMatch:
    """Run the pictures through the network under each candidate setting and compare.

    ``fitted`` pictures are uint8 height x width x 3 BGR, of the size that ``body`` takes; with
    ``any_size`` of another, and how sure the network is stays unknown. Settings that differ from
    the given one in a single way are tried; when one is clearly better, those that differ from that
    one, each step judged beside the best so far, until none is.
    """
    stride = stride_of(body)
    tensors = list(statistics)
    runs = {
        s: open_model(with_moments(b, tensors, any_size=any_size))
        for s, b in _by_stride(body, stride)
    }
    every = candidates(given, stride)
    seen: dict[Candidate, Moments] = {}
    first = acts_on(body)
    strided = tensors.index(first) if first in tensors else None
    gathered = Gathered(tuple(statistics.values()), strided, seen)
    verdicts: list[Verdict] = []
    best = every[0]
    while True:
        near = [c for c in every if c not in seen and len(c.ways(best)) <= 1]
        counts = [_pictures_for(c.ways(every[0]), len(fitted)) for c in near]
        done = 0
        for candidate, count in zip(near, counts, strict=True):
            rows = []
            for pixels in fitted[:count]:
                feeds = {NORMALISED: candidate.preprocess.normalise(pixels[None])}
                rows.append(runs[candidate.stride_in](feeds))
                done += 1
                progress("training match", done, sum(counts))
            seen[candidate] = moments_of(rows, statistics)
            verdicts.append(gathered.beside(candidate, every[0]))
        beside = [gathered.beside(c, best) for c in near if c != best]
        better = [verdict for verdict in beside if verdict.clearly_better]
        if not better:
            winner = next(v for v in verdicts if v.candidate == best)
            untold = _untold(best, gathered)
            return TrainingMatch(tuple(verdicts), winner, len(fitted), untold)
        best = max(better, key=lambda verdict: verdict.log_ratio).candidate


def _untold(best: Candidate, gathered: Gathered) -> tuple[str, ...]:
    """The ways in which some candidate differs from ``best`` that is not clearly worse."""
    untold: set[str] = set()
    for candidate in gathered.moments:
        ways = candidate.ways(best)
        if len(ways) == 1 and not gathered.beside(best, candidate).clearly_better:
            untold |= ways
    return tuple(sorted(untold))


def _pictures_for(ways: frozenset[str], given: int) -> int:
    return min(given, _NORMALISATION_PICTURES) if "normalisation" in ways else given


def _by_stride(body: onnx.ModelProto, stride: str) -> Iterator[tuple[str, onnx.ModelProto]]:
    yield stride, body
    if stride:
        other = copy_of(body)
        move_stride(other, "1x1" if stride == "3x3" else "3x3")
        yield stride_of(other), other
