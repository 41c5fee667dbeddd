"""Return the layers that cost most to float, as few as the accuracy budget needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeresnet.core.contract import batch_of, expose
from edgeresnet.core.tensors import IMAGE, Pixels
from edgeresnet.quantize.gate import Gate
from edgeresnet.quantize.judge import Verdict
from edgeresnet.quantize.sensitivity import LayerSensitivity
from edgeresnet.quantize.statistics import OpenModel

if TYPE_CHECKING:
    import onnx

_GROWTH = 1.6
_MOST_FLOAT = 0.5
"""Share of the multiplications that may return to float."""


@dataclass(frozen=True)
class Step:
    """One graph that was judged on the way."""

    returned: tuple[str, ...]
    """Layers in float."""
    drop: float
    agreement: float
    logit_error: float
    float_share: float
    """Share of the network's multiplications that run in float."""


@dataclass(frozen=True, eq=False)
class Budgeted:
    """What the budget took: the graph inside it with the fewest layers in float, if any is."""

    int8: onnx.ModelProto
    verdict: Verdict
    steps: tuple[Step, ...]
    returned: tuple[str, ...]

    @property
    def float_share(self) -> float:
        """Share of the multiplications that the written graph does in float."""
        return next(step.float_share for step in self.steps if step.returned == self.returned)

    def as_json(self) -> dict[str, Any]:
        """For the report and the manifest."""
        gate: Gate = self.verdict.gate
        steps = []
        for step, before in zip(self.steps, (None, *self.steps), strict=False):
            new = step.returned if before is None else step.returned[len(before.returned) :]
            steps.append(
                {
                    "returned": ", ".join(new) or None,
                    "layers": len(step.returned),
                    "drop": round(step.drop, 3),
                    "agreement": round(step.agreement, 3),
                    "logit_error": round(step.logit_error, 5),
                    "float_share": round(step.float_share, 4),
                }
            )
        return {
            "metric": gate.metric,
            "max_drop": gate.max_drop,
            "returned": list(self.returned),
            "steps": steps,
        }


def keep_budget(
    start: Verdict,
    int8: onnx.ModelProto,
    layers: Sequence[LayerSensitivity],
    build: Callable[[tuple[str, ...]], onnx.ModelProto],
    judge: Callable[[onnx.ModelProto], Verdict],
) -> Budgeted:
    """Return layers in the order given, ever more of them, until inside; then try with fewer.

    ``start`` is the verdict on ``int8``, the graph with every layer quantized. No more than half of
    the multiplications return: beyond, it would be INT8 in name only. When nothing up to there is
    inside, the last graph judged is given and its gate says so.
    """
    total = max(sum(layer.macs for layer in layers), 1)
    shares = np.cumsum([layer.macs for layer in layers]) / total
    most = int(np.searchsorted(shares, _MOST_FLOAT, side="right"))
    judged: dict[int, tuple[onnx.ModelProto, Verdict]] = {0: (int8, start)}

    def inside(count: int) -> bool:
        if count not in judged:
            graph = build(tuple(layer.layer for layer in layers[:count]))
            judged[count] = (graph, judge(graph))
        return judged[count][1].gate.passed

    low = high = 0
    while not inside(high) and high < most:
        low, high = high, min(most, max(high + 1, round(high * _GROWTH)))
    while inside(high) and high - low > 1:  # outside with low, inside with high
        middle = (low + high) // 2
        low, high = (low, middle) if inside(middle) else (middle, high)
    graph, verdict = judged[high]
    steps = tuple(
        Step(
            tuple(layer.layer for layer in layers[:count]),
            found.gate.drop.value,
            found.gate.agreement.value,
            found.logit_error,
            sum(layer.macs for layer in layers[:count]) / total,
        )
        for count, (_, found) in sorted(judged.items())
    )
    return Budgeted(graph, verdict, steps, tuple(layer.layer for layer in layers[:high]))


def multiplications(
    model: onnx.ModelProto, picture: Pixels, open_model: OpenModel
) -> dict[str, int]:
    """Multiply-accumulates for one picture, by the name of each convolution and linear layer."""
    weights = {w.name: w.dims for w in model.graph.initializer}
    nodes = [n for n in model.graph.node if n.op_type in ("Conv", "Gemm") and n.input[1] in weights]
    batch = batch_of(model)
    run = open_model(expose(model, [node.output[0] for node in nodes]).SerializeToString())
    outputs = run({IMAGE: np.repeat(picture[None], batch, axis=0)})
    found = {}
    for node in nodes:
        dims = list(weights[node.input[1]])
        pixels = int(np.prod(outputs[node.output[0]].shape[2:], dtype=np.int64))
        found[node.name] = int(np.prod(dims, dtype=np.int64)) * pixels
    return found
