"""Prove that the graph gives what the trained network gives, picture for picture."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeresnet.convert.networks.decode import PREFIX
from edgeresnet.core.contract import batch_of, expose
from edgeresnet.core.errors import ParityError
from edgeresnet.core.preprocess import Preprocess
from edgeresnet.core.tensors import BOXES, CLASS_IDS, IMAGE, SCORES, Array, Pixels, Tensors
from edgeresnet.match.probe import OpenModel

if TYPE_CHECKING:
    import onnx

TOLERANCE = 1e-3
"""Largest difference of a logit, relative to the largest logit. Rounding alone gives 1e-6 to 1e-5;
a wrong padding, stride or epsilon gives 1e-2 and more."""
_CLOSE = 5e-3
"""Of scores, and of boxes relative to the picture: what is decoded of maps that are equal. What
hangs on a choice between near equals, as Faster R-CNN's second stage does, is further apart."""

Network = Callable[[Array, Collection[str] | None], tuple[Tensors, Mapping[str, Array]]]
"""Normalised float32 NCHW to the contract's outputs, and the outputs of the layers of those names,
or of every layer."""


@dataclass(frozen=True)
class Parity:
    """How far the graph is from the network."""

    pictures: int
    relative_error: float
    labels_agree: int
    """Pictures of which the best label, or every clear box, is the same."""
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
    mistake in the graph's first nodes shows as well. A detector is compared by its heads' maps,
    value for value, and by the boxes that are clearly to be given: equals may change places.
    """
    maps = head_maps(model)
    run = open_model(expose(model, maps).SerializeToString())
    batch = batch_of(model)
    worst, agree = 0.0, 0
    for pixels in fitted:
        stack = np.repeat(pixels[None], batch, axis=0)
        expected, layers = network(preprocess.normalise(stack), maps)
        got = run({IMAGE: stack})
        if BOXES in expected:
            error = max(_difference(got[n], layers[n]) for n in maps if layers[n].ndim == 4)
            agree += int(_same_boxes(got, expected, max(preprocess.size)))
        else:
            ((name, values),) = expected.items()
            error = _difference(got[name], values)
            agree += int((got[name].argmax(1) == values.argmax(1)).all())
        worst = max(worst, error)
    parity = Parity(len(fitted), worst, agree)
    if parity.holds:
        return parity
    parted = _first_to_part(network, model, preprocess, fitted[0], open_model)
    return Parity(len(fitted), worst, agree, parted)


def head_maps(model: onnx.ModelProto) -> list[str]:
    """What a detector's decoding is computed of: the outputs of the heads' last convolutions."""
    producer = {name: node for node in model.graph.node for name in node.output}
    found: dict[str, None] = {}
    for node in model.graph.node:
        if not node.name.startswith(PREFIX):
            continue
        for name in node.input:
            before = producer.get(name)
            if before is not None and not before.name.startswith(PREFIX):
                found[before.input[0] if before.op_type == "Relu" else name] = None
    return list(found)


def _difference(got: Array, expected: Array) -> float:
    """The largest, relative to the largest value; not finite is infinitely far."""
    scale = max(float(np.abs(expected).max()), 1e-6)
    difference = float(np.abs(got - expected).max())
    return difference / scale if np.isfinite(difference) else float("inf")


def _same_boxes(got: Tensors, expected: Tensors, side: int) -> bool:
    """Whether each box that either gives is given by the other, those about to be last apart."""
    both = ((got, expected), (expected, got))
    places = range(len(expected[SCORES]))
    return all(_given(one, other, place, side) for one, other in both for place in places)


def _given(one: Tensors, other: Tensors, place: int, side: int) -> bool:
    scores, boxes = one[SCORES][place], one[BOXES][place]
    clear = scores > scores.min() + _CLOSE
    if not np.isfinite(scores).all() or not np.isfinite(boxes).all():
        return False
    off = np.abs(scores[clear][:, None] - other[SCORES][place])
    apart = np.abs(boxes[clear][:, None] - other[BOXES][place]).max(2) / side
    alike = one[CLASS_IDS][place][clear][:, None] == other[CLASS_IDS][place]
    far = np.where(alike, np.maximum(off, apart), np.inf).min(1, initial=np.inf)
    return bool((far <= _CLOSE).all())


def _first_to_part(
    network: Network,
    model: onnx.ModelProto,
    preprocess: Preprocess,
    pixels: Pixels,
    open_model: OpenModel,
) -> tuple[str, ...]:
    """The first three layers, in graph order, whose outputs differ."""
    stack = np.repeat(pixels[None], batch_of(model), axis=0)
    _, layers = network(preprocess.normalise(stack), None)
    names = [out for node in model.graph.node for out in node.output if out in layers]
    outputs = open_model(expose(model, names).SerializeToString())({IMAGE: stack})
    parted = []
    for name in names:
        expected, got = layers[name], outputs[name]
        if expected.shape != got.shape or _difference(got, expected) > TOLERANCE:
            parted.append(name)
    return tuple(parted[:3])


def parity_error(parity: Parity, what: str) -> ParityError:
    """The error for a graph that is not the network."""
    where = f"; first apart at {', '.join(parity.parted)}" if parity.parted else ""
    return ParityError(
        f"{what}: the exported graph differs from the network by {parity.relative_error:.2g} of "
        f"its largest value ({parity.labels_agree} of {parity.pictures} pictures agree){where}",
        hint="a module that behaves differently when traced? Export it to ONNX yourself; "
        "--force writes the graph all the same",
    )
