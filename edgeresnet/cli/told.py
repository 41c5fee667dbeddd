"""What a run saw and did, in words."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgeresnet.core.predictions import Prediction
    from edgeresnet.flow.meanwhile import Handover
    from edgeresnet.flow.report import RunReport


def in_short(prediction: Prediction) -> str:
    """The best label, or how many of what, ``person 2, car``; nothing of an embedding."""
    best = getattr(prediction, "best", None)
    if best is not None:
        return f"{best.name} {best.score:.0%}"
    names = Counter(getattr(prediction, "names", ())).most_common()
    return ", ".join(f"{name} {count}" if count > 1 else name for name, count in names)


def summary(report: RunReport) -> list[str]:
    """What a run did: the identity, the times, each source of several, and what sinks lost."""
    counters, latency = report.counters, report.latency
    times = ", ".join(f"p{n} {latency.percentile(n):.1f}" for n in (50, 90, 99))
    lines = [
        _identity(counters),
        f"{report.fps:.1f} frames/s; latency ms {times}, max {latency.max_ms:.1f}",
    ]
    if len(report.feeds) > 1:
        lines += [f"  {feed.name}: {_identity(feed.counters)}" for feed in report.feeds]
    for sink in (outlet.status() for outlet in report.sinks):
        if sink.dropped or sink.waiting or sink.errors:
            lost = ", ".join(f"{count} {reason}" for reason, count in sorted(sink.dropped.items()))
            lines.append(
                f"  sink {sink.name}: {sink.delivered} of {sink.accepted} delivered, "
                f"{sink.waiting} still waiting, dropped: {lost or 'none'}, {sink.errors} errors"
            )
    if report.handover is not None:
        lines.append(_handed_over(report.handover))
    if report.times_recompiled:
        lines.append(f"the engine was compiled wrongly {report.times_recompiled} times and redone")
    return lines


def _handed_over(handover: Handover) -> str:
    told = f"{handover.stand_in} served {handover.frames} frames"
    if handover.after_s is None:
        return f"{told}: the engine was not ready when the run ended"
    return f"{told}, until the engine was built and proved after {handover.after_s:.0f} s"


def _identity(counters: Any) -> str:
    dropped = sum(counters.dropped.values())
    reasons = ", ".join(f"{name} {count}" for name, count in sorted(counters.dropped.items()))
    told = f"{counters.captured} captured = {counters.inferred} inferred + {dropped} dropped"
    return f"{told} ({reasons})" if reasons else told
