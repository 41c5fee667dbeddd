"""Whether pictures reach a network as they did in its training.

A BatchNorm keeps the mean and variance that its channels had while training. Pictures that go
through another colour order, scaling or stride give other statistics at once. Each candidate
setting is scored, layer by layer, by the divergence between the two:

    KL(N(m, v) || N(M, V)) = (v / V + (m - M)^2 / V - 1 - ln(v / V)) / 2

with m, v of the pictures at hand and M, V of the training, averaged over the layer's channels.
Levels say little, since other pictures shift them too; so candidates are compared with each other
on the same pictures, in pairs of layers (log ratios), and resampled over the pictures.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from edgeresnet.core.preprocess import Preprocess
from edgeresnet.core.progress import Progress, silent
from edgeresnet.core.tensors import Pixels, Tensors
from edgeresnet.match.candidates import Candidate, candidates
from edgeresnet.core.contract import NORMALISED
from edgeresnet.match.stride import move_stride, stride_of

if TYPE_CHECKING:
    import onnx

Floats: TypeAlias = npt.NDArray[np.float64]
Run: TypeAlias = Callable[[Tensors], Tensors]
OpenModel: TypeAlias = Callable[[bytes], Run]
"""Loads an ONNX model and returns what runs it."""

CLEARLY_BETTER_LOG_RATIO = 0.04
"""Mean log ratio of the layers' divergences. Measured on a v1 ResNet-50 with photographs, dark,
bright, flat, blurred and tinted ones: a wrong channel order gives 0.05 to 0.28, a wrong stride
0.64 and more, wrong mean and std 0.6 and more, and no wrong setting ever wins."""
CLEARLY_BETTER_T = 3.0
"""Student's t of those log ratios over the layers; wrong settings give 4 to 28."""
PICTURES = 24
"""Enough pictures; fewer than :data:`FEWEST` decide nothing."""
FEWEST = 8
_KL_CAP = 5.0
_RESAMPLES = 200


@dataclass(frozen=True, eq=False)
class NormStatistics:
    """Mean and variance, one a channel, that a BatchNorm's output had in the training."""

    mean: Floats
    variance: Floats


def pack(statistics: Mapping[str, NormStatistics]) -> str:
    """Text for a graph's metadata."""

    def text(values: Floats) -> str:
        return base64.b64encode(values.astype("<f4").tobytes()).decode("ascii")

    return json.dumps({k: [text(s.mean), text(s.variance)] for k, s in statistics.items()})


def unpack(packed: str) -> dict[str, NormStatistics]:
    """Read what :func:`pack` wrote."""

    def values(text: str) -> Floats:
        return np.frombuffer(base64.b64decode(text), "<f4").astype(np.float64)

    return {k: NormStatistics(values(m), values(v)) for k, (m, v) in json.loads(packed).items()}


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

    @property
    def clearly_better(self) -> bool:
        """Whether this candidate, not the given setting, is the training's."""
        return (
            self.log_ratio >= CLEARLY_BETTER_LOG_RATIO
            and self.t >= CLEARLY_BETTER_T
            and self.share >= 0.95
        )


@dataclass(frozen=True)
class TrainingMatch:
    """What the probe found; the given setting comes first."""

    verdicts: tuple[Verdict, ...]
    pictures: int

    @property
    def best(self) -> Verdict:
        """The candidate to take: the given one unless another is clearly better."""
        better = [v for v in self.verdicts if v.clearly_better]
        return min(better, key=lambda v: v.divergence) if better else self.verdicts[0]

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
                }
                for v in self.verdicts
            ],
        }


def with_moments(body: onnx.ModelProto, tensors: Sequence[str]) -> bytes:
    """A copy of ``body`` that also returns each tensor's mean and mean square a channel."""
    import onnx

    model = onnx.ModelProto()
    model.CopyFrom(body)
    make, value = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    for tensor in tensors:
        square, mean, power = (f"{tensor}#{end}" for end in ("square", "mean", "power"))
        model.graph.node.extend(
            [
                make("ReduceMean", [tensor], [mean], axes=[2, 3], keepdims=0),
                make("Mul", [tensor, tensor], [square]),
                make("ReduceMean", [square], [power], axes=[2, 3], keepdims=0),
            ]
        )
        model.graph.output.extend([value(mean, 1, None), value(power, 1, None)])
    return model.SerializeToString()


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
    in a single way are tried; when one is clearly better, those that differ from it, and so on.
    """
    stride = stride_of(body)
    runs = {s: open_model(with_moments(b, list(statistics))) for s, b in _by_stride(body, stride)}
    every = candidates(given, stride)
    best = every[0]
    verdicts: dict[Candidate, Verdict] = {}
    reference: Moments | None = None
    while True:
        near = [c for c in every if c not in verdicts and len(c.ways(best)) <= 1]
        for n, candidate in enumerate(near):
            rows = []
            for done, pixels in enumerate(fitted, start=n * len(fitted) + 1):
                feeds = {NORMALISED: candidate.preprocess.normalise(pixels[None])}
                rows.append(runs[candidate.stride_in](feeds))
                progress("training match", done, len(near) * len(fitted))
            moments = _moments(rows, statistics)
            reference = moments if reference is None else reference
            verdicts[candidate] = _judge(
                candidate, moments, reference, list(statistics.values())
            )
        match = TrainingMatch(tuple(verdicts.values()), len(fitted))
        if match.best.candidate == best:
            return match
        best = match.best.candidate


def _by_stride(body: onnx.ModelProto, stride: str) -> Iterator[tuple[str, onnx.ModelProto]]:
    yield stride, body
    if stride:
        import onnx

        other = onnx.ModelProto()
        other.CopyFrom(body)
        move_stride(other, "1x1" if stride == "3x3" else "3x3")
        yield stride_of(other), other


Moments: TypeAlias = list[tuple[Floats, Floats]]
"""A layer: mean and mean square, pictures x channels."""


def _moments(rows: Sequence[Tensors], statistics: Mapping[str, NormStatistics]) -> Moments:
    def stack(name: str) -> Floats:
        return np.concatenate([row[name] for row in rows]).astype(np.float64)

    return [(stack(f"{tensor}#mean"), stack(f"{tensor}#power")) for tensor in statistics]


def _divergences(moments: Moments, expected: Sequence[NormStatistics], weights: Floats) -> Floats:
    """One a layer, each picture weighted by how often a resample drew it."""
    weights = weights / weights.sum()
    layers = []
    for (means, powers), norm in zip(moments, expected, strict=True):
        alive = norm.variance > 1e-6 * max(float(norm.variance.max()), 1e-12)
        mean = (weights @ means)[alive]
        variance = np.maximum((weights @ powers)[alive] - mean**2, 1e-12)
        wanted = norm.variance[alive]
        ratio = variance / wanted
        kl = (ratio + (mean - norm.mean[alive]) ** 2 / wanted - 1 - np.log(ratio)) / 2
        layers.append(float(np.minimum(np.nan_to_num(kl, nan=_KL_CAP), _KL_CAP).mean()))
    return np.maximum(np.array(layers), 1e-9)


def _judge(
    candidate: Candidate,
    moments: Moments,
    reference: Moments,
    expected: Sequence[NormStatistics],
) -> Verdict:
    pictures = len(moments[0][0])
    ones = np.ones(pictures)
    own = _divergences(moments, expected, ones)
    ratio, t = _compare(own, _divergences(reference, expected, ones))
    rng = np.random.default_rng(0)
    wins = 0
    for _ in range(_RESAMPLES if ratio > 0 else 0):
        drawn = rng.integers(0, pictures, pictures)
        weights = np.bincount(drawn, minlength=pictures).astype(np.float64)
        sampled = _divergences(moments, expected, weights)
        wins += _compare(sampled, _divergences(reference, expected, weights))[0] > 0
    level = float(np.exp(np.log(own).mean()))
    return Verdict(candidate, level, float(own[0]), ratio, t, wins / _RESAMPLES)


def _compare(own: Floats, given: Floats) -> tuple[float, float]:
    """Mean log ratio over the layers that differ, and its Student's t."""
    difference = np.log(given) - np.log(own)
    difference = difference[np.abs(difference) > 1e-9]
    if len(difference) < 2:
        return 0.0, 0.0
    mean = float(difference.mean())
    spread = float(difference.std(ddof=1) / np.sqrt(len(difference)))
    return mean, mean / max(spread, 1e-12)
