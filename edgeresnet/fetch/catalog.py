"""The official weights that ``fetch`` knows, with what their publisher says of them.

All are torchvision's, trained on ImageNet-1k, the stride in the 3x3 convolution (v1.5). ``-v1`` and
``-v2`` are torchvision's own ``IMAGENET1K_V1`` and ``IMAGENET1K_V2``, two ways of training; they do
not say where the stride is. Figures and transforms are those of torchvision 0.29's
``models/resnet.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgeresnet.core.errors import UsageError
from edgeresnet.core.preprocess import Preprocess
from edgeresnet.core.schema import nearest

BASE_URL = "https://download.pytorch.org/models"


@dataclass(frozen=True)
class Weights:
    """One published checkpoint."""

    name: str
    arch: str
    sha256_prefix: str
    """The first eight hexadecimal digits of the file's sha256; the publisher gives no more."""
    resize: int
    """Pixels of the shorter side before the centre crop to 224."""
    top1: float
    """Published top-1 accuracy on ImageNet's validation pictures, in percent."""
    size_mb: float
    """Size of the file, in units of 1024 x 1024 bytes."""

    @property
    def file(self) -> str:
        """The published file name; it carries the digest."""
        return f"{self.arch}-{self.sha256_prefix}.pth"

    @property
    def preprocess(self) -> Preprocess:
        """How the network was tested, and so how it should see."""
        return Preprocess(resize=self.resize)


WEIGHTS = {
    weights.name: weights
    for weights in (
        Weights("resnet18-v1", "resnet18", "f37072fd", 256, 69.758, 44.7),
        Weights("resnet34-v1", "resnet34", "b627a593", 256, 73.314, 83.3),
        Weights("resnet50-v1", "resnet50", "0676ba61", 256, 76.130, 97.8),
        Weights("resnet50-v2", "resnet50", "11ad3fa6", 232, 80.858, 97.8),
        Weights("resnet101-v1", "resnet101", "63fe2227", 256, 77.374, 170.5),
        Weights("resnet101-v2", "resnet101", "cd907fc2", 232, 81.886, 170.5),
        Weights("resnet152-v1", "resnet152", "394f9c45", 256, 78.312, 230.4),
        Weights("resnet152-v2", "resnet152", "f82ba261", 232, 82.284, 230.5),
        Weights("resnext50_32x4d-v1", "resnext50_32x4d", "7cdf4587", 256, 77.618, 95.8),
        Weights("resnext50_32x4d-v2", "resnext50_32x4d", "1a0047aa", 232, 81.198, 95.8),
        Weights("resnext101_32x8d-v1", "resnext101_32x8d", "8ba56ff5", 256, 79.312, 339.6),
        Weights("resnext101_32x8d-v2", "resnext101_32x8d", "110c445d", 232, 82.834, 339.7),
        Weights("resnext101_64x4d-v1", "resnext101_64x4d", "173b62eb", 232, 83.246, 319.3),
        Weights("wide_resnet50_2-v1", "wide_resnet50_2", "95faca4d", 256, 78.468, 131.8),
        Weights("wide_resnet50_2-v2", "wide_resnet50_2", "9ba9bcbe", 232, 81.602, 263.1),
        Weights("wide_resnet101_2-v1", "wide_resnet101_2", "32ee1156", 256, 78.848, 242.9),
        Weights("wide_resnet101_2-v2", "wide_resnet101_2", "d733dc28", 232, 82.510, 484.7),
    )
}


def find_weights(name: str) -> Weights:
    """The weights called ``name``; a bare architecture means its only or its newest weights."""
    if name in WEIGHTS:
        return WEIGHTS[name]
    of_arch = [weights for weights in WEIGHTS.values() if weights.arch == name]
    if of_arch:
        return of_arch[-1]
    raise UsageError(f"no weights named {name!r}", hint=nearest(name, WEIGHTS))
