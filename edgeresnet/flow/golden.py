"""How far an engine may be from what ONNX Runtime gave for the golden pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from edgeresnet.core.errors import ModelError
from edgeresnet.core.target import Scheme
from edgeresnet.core.tensors import IMAGE, Pixels, Tensors

Signature: TypeAlias = Callable[[Tensors], npt.NDArray[np.float32]]
"""A task's: what two runtimes have to agree on for the first picture of a batch."""

TOLERANCE = {Scheme.FLOAT: 0.01, Scheme.U8_AFFINE: 0.3, Scheme.S8_SYMMETRIC: 0.3}
"""Relative error of centred logits. A right float engine is within 1e-5. A right INT8 engine
rounds otherwise than ONNX Runtime does and is within 0.05 to 0.15; a wrongly compiled one is
beyond 0.8."""
HALF_TOLERANCE = 0.05
"""The same for a float graph computed in half precision: a right bfloat16 is within 0.02."""


def relative_error(got: npt.NDArray[np.float32], expected: npt.NDArray[np.float32]) -> float:
    """Euclidean distance of logits over the length of ``expected``, both centred.

    Shape: classes, or pictures x classes; then all pictures are pooled, so that one picture on
    the boundary between few classes, whose own length is nearly zero, does not decide. Centred,
    since softmax does not see a shift of a picture's logits; infinite when anything is not finite.
    """
    if not (np.isfinite(got).all() and np.isfinite(expected).all()):
        return float("inf")
    a = got.astype(np.float64) - got.mean(-1, dtype=np.float64, keepdims=True)
    b = expected.astype(np.float64) - expected.mean(-1, dtype=np.float64, keepdims=True)
    return float(np.linalg.norm(a - b) / max(float(np.linalg.norm(b)), 1e-9))


def batch_feeds(picture: Pixels, batch: int) -> Tensors:
    """One fitted picture (height x width x 3) as the feeds of a model of ``batch``."""
    return {IMAGE: np.repeat(picture[None], batch, axis=0)}


def signatures(
    infer: Callable[[Tensors], Tensors], signature: Signature, pictures: Pixels, batch: int
) -> npt.NDArray[np.float32]:
    """What a model says of each picture (n, height, width, 3): n x places of the batch x length."""

    def of(picture: Pixels) -> list[npt.NDArray[np.float32]]:
        outputs = infer(batch_feeds(picture, batch))
        places = ({name: value[i:] for name, value in outputs.items()} for i in range(batch))
        return [np.array(signature(place)) for place in places]  # copied: it is filled anew

    return np.array([of(picture) for picture in pictures], np.float32)


def golden_error(
    infer: Callable[[Tensors], Tensors],
    signature: Signature,
    pictures: Pixels,
    expected: npt.NDArray[np.float32],
    batch: int,
) -> float:
    """Relative error on all golden pictures (n, height, width, 3); the worst place in the batch.

    ``signature`` is the task's; ``expected`` (n, length) what it made of the right outputs. Of
    another length nothing can be said: ModelError.
    """
    got = signatures(infer, signature, pictures, batch)
    if got[:, 0].shape != expected.shape:
        raise ModelError(
            f"the golden outputs are {expected.shape[-1]} values a picture, this edgeresnet makes "
            f"{got.shape[-1]} of them: the bundle was made by another one",
            hint="compile it again",
        )
    return max(relative_error(got[:, place], expected) for place in range(batch))
