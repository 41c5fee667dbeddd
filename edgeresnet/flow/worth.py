"""Which precision is worth running on a machine: the choice, and the reason in words."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgeresnet.core.target import Options, Scheme
from edgeresnet.flow.golden import HALF_TOLERANCE
from edgeresnet.metrics.agreement import Agreement
from edgeresnet.metrics.processor import Processor
from edgeresnet.metrics.ratio import Ratio, speedup

INT8 = "int8"
CLEARLY = 1.1
"""How many times as fast a less exact alternative must be to be preferred."""
_FIXED_COSTS_MS = 2.0
"""Below this, threads, copies and layers that stay in float take much of a run."""


@dataclass(frozen=True)
class Alternative:
    """One precision, measured on one machine beside the others."""

    name: str
    """``float32``, ``bfloat16``, ``float16`` or ``int8``."""
    options: Options
    """Of the target, that select it; none for INT8, which the graph itself says."""
    times_ms: tuple[float, ...]
    """Of one picture, a round each; the same rounds for all alternatives."""
    images_per_s: float
    """Of all sessions that keep the device full."""
    size_mb: float
    """Of the compiled files."""
    agreement: Agreement
    """With float32."""
    logit_error: float
    """Relative error of centred logits against float32's; of other tasks, of their signature."""
    inside: bool
    """Whether it is as right as the budget asks."""

    @property
    def p50_ms(self) -> float:
        """Median time of one picture."""
        return statistics.median(self.times_ms)

    @property
    def p90_ms(self) -> float:
        """What nine of ten rounds do not exceed (nearest rank)."""
        return sorted(self.times_ms)[math.ceil(len(self.times_ms) * 0.9) - 1]

    def over(self, other: Alternative) -> Ratio:
        """How many times as fast as ``other``, by the rounds of both."""
        return speedup(other.times_ms, self.times_ms)

    def as_json(self, float32: Alternative) -> dict[str, Any]:
        """For a report; ``speedup`` is over ``float32``."""
        finite = math.isfinite(self.logit_error)
        return {
            "name": self.name,
            "options": dict(self.options),
            "latency_ms": {"p50": round(self.p50_ms, 3), "p90": round(self.p90_ms, 3)},
            "speedup": self.over(float32).as_json(),
            "images_per_s": round(self.images_per_s, 2),
            "size_mb": round(self.size_mb, 2),
            "agreement": round(self.agreement.percent.value, 3),
            "logit_error": float(f"{self.logit_error:.3g}") if finite else None,
            "inside": self.inside,
        }


@dataclass(frozen=True)
class Setting:
    """What may explain that INT8 does not pay."""

    written: Scheme
    """How the INT8 graph is written."""
    runs: Scheme
    """What the target runs fastest."""
    target: str
    processor: Processor | None
    """``None`` where the device is not the processor."""
    drop: str
    """What INT8 loses, in the gate's words."""


def half_inside(agreement: Agreement, logit_error: float, max_drop: float) -> bool:
    """Whether half precision may be run: its outputs are right, and what they say hardly changes.

    By no more than the budget of ``max_drop`` points; where that is less than a single label or
    box, one may change, since so few cannot tell less.
    """
    least = 0.0 if agreement.of == "vectors" else 100 / max(agreement.count, 1)
    lost = round(100 - agreement.percent.value, 9)
    return lost <= max(max_drop, round(least, 9)) and logit_error <= HALF_TOLERANCE


def choose(alternatives: Sequence[Alternative]) -> Alternative:
    """The fastest inside the budget, by latency; given from the most to the least exact.

    Of two nearly as fast, the more exact: the other must be :data:`CLEARLY` faster.
    """
    best = alternatives[0]
    for other in alternatives[1:]:
        if other.inside and _clear(other.over(best)):
            best = other
    return best


def explain(alternatives: Sequence[Alternative], best: Alternative, setting: Setting) -> str:
    """Why ``best``, told by what INT8, the last of ``alternatives``, gains over the best float."""
    *floats, int8 = alternatives
    rival = choose(floats)
    gain = int8.over(rival)
    if best is int8:
        found = f"INT8 is {gain} times as fast as {rival.name} and inside the budget"
        return f"{found} ({setting.drop}){_of_files(alternatives, best)}"
    if _clear(gain):
        why = f"but outside the budget ({setting.drop}), {rival.name} is the fastest inside"
        return f"INT8 is {gain} times as fast as {rival.name}, {why}"
    how = "slower than" if gain.high < 1 else "not clearly faster than"
    causes = "; ".join(_causes(int8, rival, gain, setting))
    files = _of_files(alternatives, best)
    return f"INT8 is {how} {rival.name}, {gain} times as fast: {causes}{files}"


def _clear(gain: Ratio) -> bool:
    return gain.value >= CLEARLY and gain.low > 1


def _causes(int8: Alternative, rival: Alternative, gain: Ratio, setting: Setting) -> list[str]:
    processor, causes = setting.processor, []
    if setting.written is not setting.runs:
        causes.append(
            f"the graph is written as {setting.written.value}, {setting.target} runs "
            f"{setting.runs.value} faster: quantize with --target {setting.target}"
        )
    if processor is not None and processor.flags and not processor.int8:
        causes.append(
            f"{processor.name} has no instructions for INT8 (VNNI, AMX-INT8, ARM's dot product)"
        )
    if rival.p50_ms < _FIXED_COSTS_MS:
        causes.append(f"at {rival.p50_ms:.2f} ms a picture, fixed costs take much of a run")
    if rival.name != "float32":
        causes.append(f"{rival.name} has instructions of its own here")
    if gain.high >= CLEARLY and gain.high - gain.low > CLEARLY - 1:
        causes.append("the times scatter too much to tell: measure longer, on an idle machine")
    if not int8.inside:
        causes.append(f"and it is outside the budget ({setting.drop})")
    return causes or ["no cause that shows in the processor or the scheme"]


def _of_files(alternatives: Sequence[Alternative], best: Alternative) -> str:
    """A word on whole files, where another alternative gives clearly more pictures a second."""
    most = max((a for a in alternatives if a.inside), key=lambda a: a.images_per_s)
    if most.images_per_s < CLEARLY * best.images_per_s:
        return ""
    return (
        f"; files, where latency does not count, run fastest in {most.name}: "
        f"{most.images_per_s:.0f} instead of {best.images_per_s:.0f} images/s"
    )
