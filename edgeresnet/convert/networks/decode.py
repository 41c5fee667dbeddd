"""A detector as a graph has it: heads' maps to boxes, scores and classes, best first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor, nn

from edgeresnet.convert.networks.fpn import flatten

PREFIX = "decode."
"""Names of a graph's nodes behind the heads' maps start so. They count in pixels and places, so
they are computed in float32 whatever the rest is."""
CANDIDATES = 1000
"""Anchors that are decoded, and boxes given. TensorRT selects at most 3840."""


class Dense(Protocol):
    """A network that scores and places a box at every anchor."""

    def maps(self, x: Tensor) -> tuple[list[Tensor], ...]:
        """Of each level: class logits, what :meth:`decode` takes, and what else scores take."""
        ...

    def anchors(self, size: tuple[int, int]) -> Tensor: ...
    def scores(self, logits: Tensor, *others: Tensor) -> Tensor: ...
    def decode(self, deltas: Tensor, anchors: Tensor) -> Tensor: ...


class Decode(nn.Module):
    """Maps of a :class:`Dense` network to boxes (N, K, 4), scores (N, K), class ids (N, K).

    Only the anchors whose best class is among the ``candidates`` best are decoded; of their classes
    as many are given. Boxes are xyxy in pixels, cut to the picture. Every shape is static, and
    nothing depends on the pictures but values. Classes overlap: suppression is left to the user.
    """

    anchors: Tensor
    origin: Tensor
    corner: Tensor
    first_anchor: Tensor
    first_kept: Tensor

    def __init__(
        self,
        network: Dense,
        classes: int,
        size: tuple[int, int],
        batch: int = 1,
        candidates: int = CANDIDATES,
    ) -> None:
        super().__init__()
        self._dense = (network,)  # not a child: the detector has its parts already
        self.classes = classes
        anchors = network.anchors(size)
        self.kept = min(candidates, len(anchors))
        self.batch = batch
        corner = torch.tensor([size[1], size[0]] * 2, dtype=torch.float32)
        self.register_buffer("anchors", anchors, persistent=False)
        self.register_buffer("origin", torch.zeros(4), persistent=False)
        self.register_buffer("corner", corner, persistent=False)
        starts = torch.arange(batch)[:, None]
        self.register_buffer("first_anchor", starts * len(anchors), persistent=False)
        self.register_buffer("first_kept", starts * self.kept, persistent=False)

    def forward(
        self, logits: list[Tensor], deltas: list[Tensor], *others: list[Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        (network,) = self._dense
        by_class = flatten(logits, self.classes)
        best = by_class.amax(2)
        further = [flatten(maps, 1) for maps in others]
        if further:
            best = network.scores(best, *(x[..., 0] for x in further))
        _, chosen = best.topk(self.kept, 1)
        rows = self._rows(chosen, self.first_anchor)
        picked = [self._take(x, rows) for x in (by_class, flatten(deltas, 4), *further)]
        anchors = self.anchors.index_select(0, chosen.reshape(-1))
        anchors = anchors.reshape(self.batch, self.kept, 4)
        boxes = network.decode(picked[1], anchors)
        boxes = torch.minimum(torch.maximum(boxes, self.origin), self.corner)
        scores = network.scores(picked[0], *picked[2:])
        scores = scores.reshape(self.batch, self.kept * self.classes)
        scores, places = scores.topk(self.kept, 1)
        owner = torch.div(places, self.classes, rounding_mode="trunc")
        class_ids = places - owner * self.classes
        return self._take(boxes, self._rows(owner, self.first_kept)), scores, class_ids.int()

    def _rows(self, index: Tensor, first: Tensor) -> Tensor:
        """Places within a picture to rows of all pictures under each other."""
        return (index if self.batch == 1 else index + first).reshape(-1)

    def _take(self, values: Tensor, rows: Tensor) -> Tensor:
        columns = int(values.shape[-1])
        taken = values.reshape(-1, columns).index_select(0, rows)
        return taken.reshape(self.batch, self.kept, columns)


class Whole(Protocol):
    """A network that detects with a decoding of its own."""

    def named_children(self) -> Iterator[tuple[str, nn.Module]]: ...
    def detect(self, x: Tensor, decode: nn.Module) -> tuple[Tensor, Tensor, Tensor]: ...


class Detector(nn.Module):
    """``network`` and what follows it, its parts under their own names."""

    def __init__(self, network: Whole, decode: nn.Module) -> None:
        super().__init__()
        self._whole = (network,)
        for name, child in network.named_children():
            self.add_module(name, child)
        self.decode = decode

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        (network,) = self._whole
        found: tuple[Tensor, Tensor, Tensor] = network.detect(x, self.decode)
        return found
