"""Network definitions, with the state-dict names that published checkpoints use."""

from edgeresnet.convert.networks.resnet import (
    ARCHITECTURES,
    ResNet,
    ResNetSpec,
    arch_name,
    build,
    infer_spec,
)

__all__ = ["ARCHITECTURES", "ResNet", "ResNetSpec", "arch_name", "build", "infer_spec"]
