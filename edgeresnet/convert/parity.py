"""Prove that the graph gives what the trained network gives, picture for picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeresnet.core.contract import batch_of, expose
from edgeresnet.core.errors import ParityError
from edgeresnet.core.preprocess import Preprocess
from edgeresnet.core.tensors import IMAGE, LOGITS, Array, Pixels
from edgeresnet.match.probe import OpenModel

if TYPE_CHECKING:
    import onnx

TOLERANCE = 1e-3
"""Largest difference of a logit, relative to the largest logit. Rounding alone gives 1e-6 to 1e-5;
a wrong padding, stride or epsilon gives 1e-2 and more."""

Network = Callable[[Array], tuple[Array, Mapping[str, Array]]]
"""Normalised float32 NCHW to logits, and every layer's output by name."""


@dataclass(frozen=True)
class Parity:
    """How far the graph is from the network."""

    pictures: int
    relative_error: float
    labels_agree: int
    parted: tuple[str, ...] = ()
    """The layers that differ first, in graph order, when parity fails."""

    @property
    def holds(self) -> bool:
        """Whether the graph is the network."""
        return self.relative_error <= TOLERANCE and self.labels_agree == self.pictures

    def as_evidence(self) -> dict[str, Any]:
        """For the graph's metadata and the manifest."""
        return {
            "verdict": "equal" if self.holds else "differs",
            "pictures": self.pictures,
            "relative_error": float(f"{self.relative_error:.3g}"),
            "labels_agree": self.labels_agree,
            "parted": list(self.parted),
        }


def check_parity(
    network: Network,
    model: onnx.ModelProto,
    preprocess: Preprocess,
    fitted: Sequence[Pixels],
    open_model: OpenModel,
) -> Parity:
    """Compare ``network`` with the contract graph ``model`` on fitted uint8 BGR pictures.

    The network's side normalises on its own, from the definition in :class:`Preprocess`, so a
    mistake in the graph's first nodes shows as well.
    """
    run = open_model(model.SerializeToString())
    batch = batch_of(model)
    worst, agree = 0.0, 0
    for pixels in fitted:
        stack = np.repeat(pixels[None], batch, axis=0)
        expected, _ = network(preprocess.normalise(stack))
        got = run({IMAGE: stack})[LOGITS]
        scale = max(float(np.abs(expected).max()), 1e-6)
        difference = float(np.abs(got - expected).max())
        worst = max(worst, difference / scale if np.isfinite(difference) else float("inf"))
        agree += int((got.argmax(1) == expected.argmax(1)).all())
    parity = Parity(len(fitted), worst, agree)
    if parity.holds:
        return parity
    parted = _first_to_part(network, model, preprocess, fitted[0], open_model)
    return Parity(len(fitted), worst, agree, parted)


def _first_to_part(
    network: Network,
    model: onnx.ModelProto,
    preprocess: Preprocess,
    pixels: Pixels,
    open_model: OpenModel,
) -> tuple[str, ...]:
    """The first three layers, in graph order, whose outputs differ."""
    stack = np.repeat(pixels[None], batch_of(model), axis=0)
    _, layers = network(preprocess.normalise(stack))
    names = [out for node in model.graph.node for out in node.output if out in layers]
    outputs = open_model(expose(model, names).SerializeToString())({IMAGE: stack})
    parted = []
    for name in names:
        expected, got = layers[name], outputs[name]
        scale = max(float(np.abs(expected).max()), 1e-6)
        if expected.shape != got.shape or float(np.abs(got - expected).max()) > TOLERANCE * scale:
            parted.append(name)
    return tuple(parted[:3])


def parity_error(parity: Parity, what: str) -> ParityError:
    """The error for a graph that is not the network."""
    where = f"; first apart at {', '.join(parity.parted)}" if parity.parted else ""
    return ParityError(
        f"{what}: the exported graph differs from the network by {parity.relative_error:.2g} of "
        f"its largest logit ({parity.labels_agree} of {parity.pictures} labels agree){where}",
        hint="a module that behaves differently when traced? Export it to ONNX yourself; "
        "--force writes the graph all the same",
    )
