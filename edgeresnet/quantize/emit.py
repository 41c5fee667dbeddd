"""A calibrated float graph, written as INT8 in one scheme."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from edgeresnet.core.progress import Progress
from edgeresnet.core.recipe import Method, Recipe
from edgeresnet.core.target import Scheme
from edgeresnet.quantize.placement import Placement, place
from edgeresnet.quantize.qdq import insert
from edgeresnet.quantize.ranges import Range, choose_ranges
from edgeresnet.quantize.sensitivity import Prober, choose_methods
from edgeresnet.quantize.statistics import TensorStatistics

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True, eq=False)
class Emitter:
    """Everything that decides what INT8 looks like, the layers left in float apart."""

    model: onnx.ModelProto
    """The float graph that ``statistics`` are of."""
    scheme: Scheme
    recipe: Recipe
    statistics: Mapping[str, TensorStatistics]
    weight_bits: int = 8
    methods: Mapping[str, Method] = field(default_factory=dict)
    """The tensors whose range is not chosen by the recipe's method."""

    def placement(self, returned: tuple[str, ...] = ()) -> Placement:
        """Where Q/DQ goes, ``returned`` and the recipe's layers staying in float."""
        return place(self.model, self.scheme, (*self.recipe.float_nodes, *returned))

    def ranges(self) -> dict[str, Range]:
        """The range of every tensor."""
        return choose_ranges(
            self.statistics, self.placement(), self.recipe, self.scheme, self.methods
        )

    def build(self, returned: tuple[str, ...] = ()) -> onnx.ModelProto:
        """The INT8 graph."""
        means = {name: found.means for name, found in self.statistics.items()}
        return insert(
            self.model,
            self.placement(returned),
            self.ranges(),
            self.scheme,
            means=means if self.recipe.bias_correction else None,
            weight_bits=self.weight_bits,
        )

    def with_methods(self, prober: Prober, progress: Progress) -> Emitter:
        """For ``auto``: with the best method of each tensor; others are what they are."""
        if self.recipe.method is not Method.AUTO:
            return self
        methods = choose_methods(prober, self.placement(), self.statistics, self.recipe, progress)
        return replace(self, methods=methods)

    def as_evidence(self) -> dict[str, Any]:
        """For the graph's metadata."""
        told: dict[str, Any] = {"recipe": self.recipe.model_dump(mode="json")}
        if self.weight_bits != 8:
            told["weight_bits"] = self.weight_bits
        if self.methods:
            told["methods"] = dict(Counter(method.value for method in self.methods.values()))
        return told
