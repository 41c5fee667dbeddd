"""How sure a model has to be, class by class."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from edgeresnet.core.errors import UsageError
from edgeresnet.core.labels import Labels
from edgeresnet.core.schema import nearest

NONE: Mapping[str, float] = MappingProxyType({})


def least_scores(
    labels: Labels, threshold: float, of_classes: Mapping[str, float] = NONE
) -> npt.NDArray[np.float64]:
    """The least score of every class (n,): its own of ``of_classes``, else ``threshold``.

    A class that the model does not have is refused. Several of one name get the same.
    """
    least = np.full(len(labels), threshold, np.float64)
    for name, own in of_classes.items():
        places = [place for place, known in enumerate(labels.names) if known == name]
        if not places:
            raise UsageError(f"the model has no class {name!r}", hint=nearest(name, labels.names))
        least[places] = own
    return least
