"""Whether one setting fits what the BatchNorms knew of the training better than another.

Each is scored, layer by layer, by the divergence between what they knew and what they see:

    KL(N(m, v) || N(M, V)) = (v / V + (m - M)^2 / V - 1 - ln(v / V)) / 2

with m, v of the pictures at hand and M, V of the training, averaged over the layer's channels.
Levels say little, since other pictures shift them too; so settings are compared with each other on
the same pictures, in pairs of layers (log ratios), and resampled over the pictures.

Colour order hardly moves those statistics when the pictures are not very colourful. It does move
how sure the network is: for two settings that differ in nothing else, the largest centred logit of
each picture (of a detector: the odds of the best score) is compared in pairs as well.

A detector's backbone has the statistics of the classifier that it was, and was trained on since,
with other pictures. Right settings then fit less well, but still better than wrong ones. Where
weights have gone so far that the statistics tell nothing any more, one or the other fits better by
chance, layer upon layer; then the layer on which the difference acts first, which the least has
happened to, does not agree, and nothing is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edgeresnet.match.candidates import Candidate
from edgeresnet.match.moments import Floats, Moments, NormStatistics, divergences

CLEARLY_BETTER_LOG_RATIO = 0.04
"""Mean log ratio of the layers' divergences. Measured on a v1 ResNet-50 with photographs, dark,
bright, flat, blurred and tinted ones: a wrong channel order gives 0.05 to 0.28, a wrong stride
0.64 and more, wrong mean and std 0.6 and more, and no wrong setting ever wins. Of a RetinaNet on
that backbone 0.14, 1.5 and 2 before it is trained on, and 0.03, 0.13 and 0.24 after."""
CLEARLY_BETTER_T = 3.0
"""Student's t of those log ratios over the layers; wrong settings give 4 to 28."""
_FAR = 0.2
"""Divergence above which the statistics tell little of the network, and another stride or
normalisation must fit better by more than it, or make the network clearly surer as well. Measured:
photographs 0.004 to 0.06; blood cells 0.16 with the classifier of photographs, and 0.41 with a
detector trained on them from it (the right stride better by 0.13, and surer by 8.2); weights with
noise of 0.8 of their deviation 0.3 (the wrong stride better by 0.14, and surer by 2.0)."""
_RESAMPLES = 200
_ALMOST_ALL, _MOST = 0.95, 0.75
"""Share of the resamples in which the better is better: of a colour order, and of what the layer on
which it acts first confirms. Pictures drawn again are noisier than they are: of 32 drawn scenes a
detector's wrong stride has 3 times the right one's divergence, and is better in 9 of 100 draws."""


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
    acting: float
    """The log ratio of the layer on which the difference acts first; 0 where it is not known."""
    surer_t: float | None
    """How much surer the network is than with the given setting, as Student's t; None of one that
    gives features."""
    surer_bar: float
    """From which ``surer_t`` on that tells the channel order."""
    ways: frozenset[str]
    """In which it differs from the given setting."""

    @property
    def clearly_better(self) -> bool:
        """Whether this candidate, not the given setting, is the training's."""
        by_layers = (
            self.log_ratio >= CLEARLY_BETTER_LOG_RATIO
            and self.t >= CLEARLY_BETTER_T
            and self.share >= (_ALMOST_ALL if "color" in self.ways else _MOST)
        )
        if self.ways != {"color"}:
            near = self.divergence <= max(_FAR, self.log_ratio)
            surer = self.surer_t is not None and self.surer_t >= self.surer_bar
            return by_layers and self.acting >= 0 and (near or surer)
        if self.surer_t is not None:
            not_against = self.t > -CLEARLY_BETTER_T
            surer = self.surer_t >= self.surer_bar and not_against
            return surer or (by_layers and self.surer_t > 0)
        return by_layers


@dataclass(frozen=True, eq=False)
class Gathered:
    """What the network did under each setting that was tried."""

    expected: tuple[NormStatistics, ...]
    """What its norms knew."""
    strided: int | None
    """Which of them is the first on which the place of a stride acts; None where that is none."""
    moments: Mapping[Candidate, Moments]

    def beside(self, candidate: Candidate, given: Candidate) -> Verdict:
        """Hold ``candidate`` beside ``given``, on the pictures that both have seen."""
        both = (self.moments[candidate], self.moments[given])
        pictures = min(moments.pictures for moments in both)
        moments, reference = (one.first(pictures) for one in both)
        ones = np.ones(pictures)
        own = divergences(moments, self.expected, ones)
        before = divergences(reference, self.expected, ones)
        ratio, t = _compare(own, before)
        ways = candidate.ways(given)
        acts = self.strided if "stride_in" in ways else 0
        surer = None
        if moments.top is not None and reference.top is not None:
            surer = _student(np.log(moments.top) - np.log(reference.top))[1]
        return Verdict(
            candidate,
            float(np.exp(np.log(own).mean())),
            float(own[0]),
            ratio,
            t,
            self._share(moments, reference) if ratio > 0 else 0.0,
            0.0 if acts is None else float(np.log(before[acts]) - np.log(own[acts])),
            surer,
            moments.bar,
            ways,
        )

    def _share(self, moments: Moments, reference: Moments) -> float:
        """Of resamples over the pictures, in which the first is better."""
        pictures = moments.pictures
        rng = np.random.default_rng(0)
        drawn = rng.multinomial(pictures, np.full(pictures, 1 / pictures), _RESAMPLES)
        counts = drawn.astype(np.float64)
        both = (divergences(m, self.expected, counts) for m in (moments, reference))
        rows = zip(*both, strict=True)
        return float(np.mean([_compare(*row)[0] > 0 for row in rows]))


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
