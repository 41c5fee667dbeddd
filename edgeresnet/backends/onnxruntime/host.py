"""Colour order, mean and std on the host: one table look-up a channel instead of graph nodes.

A fitted picture has 256 values a channel, so whatever the graph's first nodes do to them, the
first Quantize included, is a table of 256 entries; the result is the same to the last bit.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

import cv2
import numpy as np

from edgeresnet.core.preprocess import Color, Preprocess
from edgeresnet.core.tensors import Array, Pixels

_KINDS = {"float32": np.float32, "uint8": np.uint8, "int8": np.int8}


@dataclass(frozen=True, eq=False)
class HostTable:
    """``values`` is 3 x 256, one row for each plane of the network in the network's order."""

    values: Array
    bgr_channel: tuple[int, int, int]
    """Channel of the BGR picture that each plane is made from."""

    def apply(self, pictures: Pixels, planes: Array) -> None:
        """Fill ``planes`` (n, 3, height, width) from uint8 ``pictures`` (n, height, width, 3)."""
        scratch = np.empty(pictures.shape[1:3], np.uint8)
        for picture, out in zip(pictures, planes, strict=True):
            for plane, (channel, table) in enumerate(
                zip(self.bgr_channel, self.values, strict=True)
            ):
                cv2.extractChannel(picture, channel, scratch)
                np.take(table, scratch, out=out[plane], mode="clip")

    def to_text(self) -> str:
        """For the artifact's metadata."""
        order = ",".join(map(str, self.bgr_channel))
        raw = base64.b64encode(np.ascontiguousarray(self.values).tobytes()).decode("ascii")
        return f"{self.values.dtype.name};{order};{raw}"

    @staticmethod
    def from_text(text: str) -> HostTable:
        """Read what :meth:`to_text` wrote."""
        kind, order, raw = text.split(";")
        values = np.frombuffer(base64.b64decode(raw), _KINDS[kind]).reshape(3, 256)
        first, second, third = map(int, order.split(","))
        return HostTable(values, (first, second, third))


def float_table(preprocess: Preprocess) -> HostTable:
    """What the contract graph's normalisation does, computed in float32 as the graph does it."""
    factor, offset = preprocess.affine()
    bgr_channel = (2, 1, 0) if preprocess.color is Color.RGB else (0, 1, 2)
    levels = np.arange(256, dtype=np.float32)
    rows = [levels * factor[channel] + offset[channel] for channel in bgr_channel]
    return HostTable(np.stack(rows).astype(np.float32), bgr_channel)


def quantized_table(table: HostTable, scale: float, zero_point: int, kind: str) -> HostTable:
    """``table`` followed by QuantizeLinear: round half to even, then saturate."""
    limits = np.iinfo(kind)
    values = np.rint(table.values / np.float32(scale)) + zero_point
    clipped = np.clip(values, limits.min, limits.max).astype(kind)
    return HostTable(clipped, table.bgr_channel)
