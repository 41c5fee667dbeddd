"""Whether pictures reach a network as they did in its training.

A BatchNorm keeps the mean and variance that its channels had while training. Pictures that go
through another colour order, scaling or stride give other statistics at once. Each candidate
setting is scored, layer by layer, by the divergence between the two:

    KL(N(m, v) || N(M, V)) = (v / V + (m - M)^2 / V - 1 - ln(v / V)) / 2

with m, v of the pictures at hand and M, V of the training, averaged over the layer's channels.
Levels say little, since other pictures shift them too; so candidates are compared with each other
on the same pictures, in pairs of layers (log ratios), and resampled over the pictures.

Colour order hardly moves those statistics when the pictures are not very colourful. It does move
how sure the network is: for two candidates that differ in nothing else, the largest centred logit
of each picture is compared in pairs as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from edgeresnet.core.contract import NORMALISED, copy_of
from edgeresnet.core.preprocess import Preprocess
from edgeresnet.core.progress import Progress, silent
from edgeresnet.core.tensors import Pixels, Tensors
from edgeresnet.match.candidates import Candidate, candidates
from edgeresnet.match.moments import (
    Floats,
    Moments,
    NormStatistics,
    divergences,
    moments_of,
    with_moments,
)
from edgeresnet.match.stride import move_stride, stride_of

if TYPE_CHECKING:
    import onnx

Run: TypeAlias = Callable[[Tensors], Tensors]
OpenModel: TypeAlias = Callable[[bytes], Run]
"""Loads an ONNX model and returns what runs it."""

CLEARLY_BETTER_LOG_RATIO = 0.04
"""Mean log ratio of the layers' divergences. Measured on a v1 ResNet-50 with photographs, dark,
bright, flat, blurred and tinted ones: a wrong channel order gives 0.05 to 0.28, a wrong stride
0.64 and more, wrong mean and std 0.6 and more, and no wrong setting ever wins."""
CLEARLY_BETTER_T = 3.0
"""Student's t of those log ratios over the layers; wrong settings give 4 to 28."""
SURER_T = 2.0
"""Student's t, over the pictures, of the log ratio of the largest centred logits. Measured: the
right channel order is ahead by 2.5 to 4.5 on 40 pictures (photographs, street scenes, surveillance
frames, blood cells), by 2 to 3.3 on 20, and in 2000 draws never behind."""
PICTURES = 48
"""Enough pictures; fewer than :data:`FEWEST` decide nothing."""
FEWEST = 8
_NORMALISATION_PICTURES = 16
"""A wrong normalisation shows on few pictures already."""
_RESAMPLES = 200


@dataclass(frozen=True)
class Verdict:
    """One candidate beside the given setting."""

    candidate: Candidate
    divergence: float
    """Geometric mean over the layers."""
    first_layer: float
    log_ratio: float
    """Mean over the layers that differ of log(given / candidate); positive: candidate better."""
    t: float
    share: float
    """Of resamples over the pictures, in which the candidate is better."""
    surer_t: float
    """How much surer the network is of its labels than with the given setting, as Student's t."""
    color_only: bool
    """Whether nothing but the colour order differs from the given setting."""

    @property
    def clearly_better(self) -> bool:
        """Whether this candidate, not the given setting, is the training's."""
        by_layers = (
            self.log_ratio >= CLEARLY_BETTER_LOG_RATIO
            and self.t >= CLEARLY_BETTER_T
            and self.share >= 0.95
        )
        if self.color_only:
            return self.surer_t >= SURER_T or (by_layers and self.surer_t > 0)
        return by_layers


@dataclass(frozen=True)
class TrainingMatch:
    """What the probe found; the given setting comes first."""

    verdicts: tuple[Verdict, ...]
    """Every candidate tried, beside the given one."""
    best: Verdict
    """The candidate to take: the given one unless another is clearly better."""
    pictures: int

    @property
    def matches(self) -> bool:
        """Whether the given setting holds."""
        return self.best is self.verdicts[0]

    def as_evidence(self) -> dict[str, Any]:
        """For the graph's metadata and the manifest."""
        return {
            "verdict": "matches" if self.matches else f"differs: {self.best.candidate.name}",
            "pictures": self.pictures,
            "candidates": [
                {
                    "name": v.candidate.name,
                    "divergence": round(v.divergence, 5),
                    "first_layer": round(v.first_layer, 5),
                    "log_ratio": round(v.log_ratio, 3),
                    "t": round(v.t, 1),
                    "better_share": round(v.share, 3),
                    "surer_t": round(v.surer_t, 1),
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
) -> TrainingMatch:
    """Run the pictures through the network under each candidate setting and compare.

    ``fitted`` pictures are uint8 height x width x 3 BGR. Settings that differ from the given one
    in a single way are tried; when one is clearly better, those that differ from that one, each
    step judged beside the best so far, until none is.
    """
    stride = stride_of(body)
    runs = {s: open_model(with_moments(b, list(statistics))) for s, b in _by_stride(body, stride)}
    every = candidates(given, stride)
    expected = list(statistics.values())
    seen: dict[Candidate, Moments] = {}
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
            verdicts.append(_judge(candidate, every[0], seen, expected))
        beside = [_judge(c, best, seen, expected) for c in near if c != best]
        better = [verdict for verdict in beside if verdict.clearly_better]
        if not better:
            winner = next(v for v in verdicts if v.candidate == best)
            return TrainingMatch(tuple(verdicts), winner, len(fitted))
        best = max(better, key=lambda verdict: verdict.log_ratio).candidate


def _pictures_for(ways: frozenset[str], given: int) -> int:
    return min(given, _NORMALISATION_PICTURES) if "normalisation" in ways else given


def _by_stride(body: onnx.ModelProto, stride: str) -> Iterator[tuple[str, onnx.ModelProto]]:
    yield stride, body
    if stride:
        other = copy_of(body)
        move_stride(other, "1x1" if stride == "3x3" else "3x3")
        yield stride_of(other), other


def _judge(
    candidate: Candidate,
    given: Candidate,
    seen: Mapping[Candidate, Moments],
    expected: Sequence[NormStatistics],
) -> Verdict:
    pictures = min(len(seen[candidate].top), len(seen[given].top))
    moments, reference = seen[candidate].first(pictures), seen[given].first(pictures)
    ones = np.ones(pictures)
    own = divergences(moments, expected, ones)
    ratio, t = _compare(own, divergences(reference, expected, ones))
    rng = np.random.default_rng(0)
    wins = 0
    for _ in range(_RESAMPLES if ratio > 0 else 0):
        drawn = rng.integers(0, pictures, pictures)
        weights = np.bincount(drawn, minlength=pictures).astype(np.float64)
        sampled = divergences(moments, expected, weights)
        wins += _compare(sampled, divergences(reference, expected, weights))[0] > 0
    level = float(np.exp(np.log(own).mean()))
    surer = _student(np.log(moments.top) - np.log(reference.top))[1]
    color_only = candidate.ways(given) == {"color"}
    share = wins / _RESAMPLES
    return Verdict(candidate, level, float(own[0]), ratio, t, share, surer, color_only)


def _compare(own: Floats, given: Floats) -> tuple[float, float]:
    """Mean log ratio over the layers that differ, and its Student's t."""
    difference = np.log(given) - np.log(own)
    return _student(difference[np.abs(difference) > 1e-9])


def _student(values: Floats) -> tuple[float, float]:
    """Mean, and mean over its standard error; zeros when nothing differs."""
    if len(values) < 2 or not np.any(values):
        return 0.0, 0.0
    mean = float(values.mean())
    return mean, mean / max(float(values.std(ddof=1) / np.sqrt(len(values))), 1e-12)
