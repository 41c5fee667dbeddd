"""INT8 scales in half precision."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Halves: TypeAlias = npt.NDArray[np.float16]
LARGEST = float(np.finfo(np.float16).max)
SMALLEST = float(np.finfo(np.float16).smallest_subnormal)
SMALLEST_NORMAL = float(np.finfo(np.float16).tiny)
_LEVELS = 128


def activation_scale(scale: npt.NDArray[np.float32]) -> Halves:
    """The nearest half of a scale that something is divided by: at most 2^-11 away.

    Normal, since the reciprocal of a smaller one is beyond half precision: kernels that multiply
    by it would multiply by infinity. A scale that half precision takes for zero is that of a
    tensor nothing was ever seen in, so that any scale is right for it. OverflowError for others
    that do not fit.
    """
    raised = np.where(scale < SMALLEST, SMALLEST_NORMAL, scale)
    least, most = float(raised.min()), float(raised.max())
    if least < SMALLEST_NORMAL * (1 - 2**-12) or most * _LEVELS > LARGEST:
        outside = most if most * _LEVELS > LARGEST else least
        raise OverflowError(f"has a scale of {outside:.3g}, which does not suit float16")
    return raised.astype(np.float16)


def weight_scale(
    integers: npt.NDArray[np.int8], scale: npt.NDArray[np.float32], axis: int
) -> tuple[npt.NDArray[np.int8], Halves]:
    """Integers and half scales for the weights ``integers * scale``, each channel's error least.

    A channel that contributes little has a scale far below the smallest normal half (every fiftieth
    of a real ResNet-50's last convolutions of blocks), where halves are coarse: then the integers
    are found again for the scale above and the one below, and the better is taken. Nothing is
    divided by these scales, so that they may be subnormal. OverflowError for those above
    511, whose weights half precision does not reach.
    """
    shape = [1] * integers.ndim
    if scale.ndim:
        shape[axis] = -1
    if float(scale.max()) * _LEVELS > LARGEST:
        raise OverflowError(f"has a scale of {scale.max():.3g}, which does not suit float16")
    exact = integers * scale.astype(np.float64).reshape(shape)
    most = int(np.abs(integers.astype(np.int16)).max(initial=1))
    others = tuple(i for i in range(integers.ndim) if shape[i] == 1)
    best, chosen, least = integers, scale.astype(np.float16), np.full(scale.shape, np.inf)
    for candidate in _around(scale):
        step = candidate.astype(np.float64).reshape(shape)
        tried = np.clip(np.rint(exact / step), -most, most).astype(np.int8)
        error = ((tried * step - exact) ** 2).sum(others).reshape(scale.shape)
        better = error < least
        best = np.where(better.reshape(shape), tried, best)
        chosen, least = np.where(better, candidate, chosen), np.where(better, error, least)
    return best, chosen.astype(np.float16)


def _around(scale: npt.NDArray[np.float32]) -> tuple[Halves, Halves]:
    """The nearest half of each scale and the next on its other side, none of them zero."""
    near = np.maximum(scale.astype(np.float16), np.float16(SMALLEST))
    beyond = np.where(near < scale, np.float16(np.inf), np.float16(0))
    other = np.maximum(np.nextafter(near, beyond), np.float16(SMALLEST))
    return near, other
