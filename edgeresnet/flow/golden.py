"""How far an engine's logits may be from ONNX Runtime's on the golden pictures."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgeresnet.core.target import Scheme
from edgeresnet.core.tensors import IMAGE, LOGITS, Pixels, Tensors

TOLERANCE = {Scheme.FLOAT: 0.01, Scheme.U8_AFFINE: 0.3, Scheme.S8_SYMMETRIC: 0.3}
"""Relative error of centred logits. A right float engine is within 1e-5. A right INT8 engine
rounds otherwise than ONNX Runtime does and is within 0.05 to 0.15; a wrongly compiled one is
beyond 0.8."""


def relative_error(got: npt.NDArray[np.float32], expected: npt.NDArray[np.float32]) -> float:
    """Euclidean distance of two pictures' logits over the length of ``expected``, both centred.

    Centred, since softmax does not see a shift of all logits; infinite when anything is not finite.
    """
    with np.errstate(invalid="ignore"):  # infinite logits, told below
        a = got.astype(np.float64) - got.mean(dtype=np.float64)
        b = expected.astype(np.float64) - expected.mean(dtype=np.float64)
        error = float(np.linalg.norm(a - b) / max(float(np.linalg.norm(b)), 1e-9))
    return error if np.isfinite(error) else float("inf")


def batch_feeds(picture: Pixels, batch: int) -> Tensors:
    """One fitted picture (height x width x 3) as the feeds of a model of ``batch``."""
    return {IMAGE: np.repeat(picture[None], batch, axis=0)}


def worst_error(outputs: Tensors, expected: npt.NDArray[np.float32]) -> float:
    """The largest relative error in a batch that repeats one picture."""
    return max(relative_error(row, expected) for row in outputs[LOGITS])
