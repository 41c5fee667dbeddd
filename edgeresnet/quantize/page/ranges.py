"""Parts of the report page on the ranges: chosen, settled, made even."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgeresnet.quantize.page.markup import (
    Html,
    code,
    element,
    finite,
    folded,
    fragment,
    maps,
    names,
    number,
    section,
    share,
    table,
)
from edgeresnet.quantize.page.plots import curve, histogram, moved

Part = Mapping[str, Any]
_OPEN_TENSORS, _DRAWN_TENSORS = 6, 120
_ROWS = 24
_SETTLED = "They settled: half of the pictures gave nearly the same ranges."
_UNSETTLED = (
    "They had not settled: half of the pictures gave clearly other ranges. Calibrate with more "
    "(--samples)."
)


def ranged(report: Part) -> Html | None:
    """What each tensor did, and the range that was chosen for it."""
    tensors = maps(report.get("tensors"))
    if not tensors:
        return None
    ranked = sorted(
        tensors, key=lambda tensor: (-(finite(tensor.get("clipped")) or 0.0), _used(tensor))
    )
    cards = [_tensor(tensor) for tensor in ranked[:_DRAWN_TENSORS]]
    rows = [
        (
            code(tensor.get("name")),
            _bounds(tensor),
            share(tensor.get("clipped")),
            str(tensor.get("method", "")),
        )
        for tensor in ranked[_DRAWN_TENSORS:]
    ]
    lead = (
        "INT8 has 256 steps, spread for each tensor over a range of its values (bars: how often "
        "each occurred, logarithmic; red: outside, clipped to the end; most clipped first). Well "
        "under 1 % clipped is normal and often wise; where it is more, or where most values share "
        "few of the steps, try another --method or --recipe accurate."
    )
    body = [element("div", *cards[:_OPEN_TENSORS], class_="tensors")]
    if rest := cards[_OPEN_TENSORS:]:
        drawn = element("div", *rest, class_="tensors")
        body.append(folded(f"{len(rest)} more tensors", drawn))
    if rows:
        head = ("Tensor", "Range", "Clipped", "Method")
        body.append(folded(f"The last {len(rows)}, without drawing", table(head, rows)))
    return section("ranges", "Ranges", lead, *body)


def _range(tensor: Part) -> tuple[float, float] | None:
    given = tensor.get("range")
    if not isinstance(given, (list, tuple)) or len(given) != 2:
        return None
    low, high = finite(given[0]), finite(given[1])
    return None if low is None or high is None or high <= low else (low, high)


def _bounds(tensor: Part) -> str:
    chosen = _range(tensor)
    return "\u2013" if chosen is None else f"{number(chosen[0])} to {number(chosen[1])}"


def _counts(tensor: Part) -> list[float]:
    given = tensor.get("counts")
    return [max(finite(c) or 0.0, 0.0) for c in given] if isinstance(given, (list, tuple)) else []


def _used(tensor: Part) -> int:
    """About how many of the 256 steps hold 99 % of the values; 256 where that is unknown."""
    counts, chosen = _counts(tensor), _range(tensor)
    low, high = finite(tensor.get("low")), finite(tensor.get("high"))
    if not sum(counts) or chosen is None or low is None or high is None:
        return 256
    spare, first, last = 0.01 * sum(counts), 0, len(counts) - 1
    while min(counts[first], counts[last]) <= spare and first < last:
        end = first if counts[first] <= counts[last] else last
        spare -= counts[end]
        first, last = (first + 1, last) if end == first else (first, last - 1)
    width = (last + 1 - first) * (high - low) / len(counts)
    return max(1, min(256, round(256 * width / (chosen[1] - chosen[0]))))


def _tensor(tensor: Part) -> Html:
    low, high = finite(tensor.get("low")), finite(tensor.get("high"))
    drawing = element("p", "no values seen", class_="aside")
    if low is not None and high is not None and high > low:
        drawing = histogram(_counts(tensor), low, high, _range(tensor))
    told = f"range {_bounds(tensor)}, {share(tensor.get('clipped'))} clipped"
    method = f" ({tensor['method']})" if tensor.get("method") else ""
    used = _used(tensor)
    steps = f"99 % of the values in about {used} of 256 steps" if used < 256 else ""
    readers = tensor.get("read_by")
    read = [element("small", "read by ", names(readers, 3))] if readers else []
    return element(
        "figure",
        element("figcaption", code(tensor.get("name"))),
        drawing,
        element("p", told + method),
        *([element("p", steps)] if steps else []),
        *read,
        class_="tensor",
    )


def settled(report: Part) -> Html | None:
    """How the ranges moved while pictures were added."""
    calibration = report.get("calibration") or {}
    found = calibration.get("convergence") or {}
    seen, change = found.get("pictures") or [], found.get("change") or []
    known = [(finite(x), finite(y)) for x, y in zip(seen, change, strict=False)]
    plotted = [(x, 100 * y) for x, y in known if x is not None and y is not None and x > 0]
    verdict = found.get("settled", calibration.get("settled"))
    if not found and verdict is None:
        return None
    said = "There were too few pictures to tell."
    if verdict is not None:
        said = _SETTLED if verdict else _UNSETTLED
    body = [element("p", said, class_="reason")]
    if len(plotted) > 1:
        told = [f"{number(x)} pictures: {number(y)} % from the end" for x, y in plotted]
        titles = ("calibration pictures", "median change to the final range")
        body.append(curve(plotted, told, titles, logarithmic=True, unit=" %"))
    if late := found.get("unsettled"):
        body.append(element("p", "Still moving after half of the pictures: ", names(late, 12)))
    lead = (
        "Ranges are learnt from pictures. The line shows how far those learnt from fewer were from "
        "the final ones. It should be low well before its end; if not, --samples should be larger."
    )
    return section("settled", "Did the ranges settle?", lead, *body)


def equalized(report: Part) -> Html | None:
    """Channels that were rescaled, before and after."""
    groups = maps(report.get("equalization"))
    if not groups:
        return None
    ranked = sorted(groups, key=lambda group: -(finite(group.get("spread_before")) or 0.0))
    ends = ("spread_before", "spread_after")
    largest = max(finite(group.get(end)) or 1.0 for group in groups for end in ends)
    rows = []
    for group in ranked:
        before, after = (finite(group.get(end)) for end in ends)
        drawn = ""
        if before is not None and after is not None:
            drawn = moved(before, after, largest)
        rows.append(
            (
                fragment(code(group.get("group")), _layers_of(group)),
                drawn,
                f"{number(before)} \u2192 {number(after)}",
                number(group.get("channels")),
            )
        )
    lead = (
        "Channels far weaker than their neighbours get few of the 256 steps, so they were scaled "
        "up in one layer and down again in the next: the same result, finer steps. The spread is "
        "the strongest channel's range over the weakest's; where it stays large, see that layer "
        "above."
    )
    head = ("Channels after", "Spread (1 is at the left)", "Before \u2192 after", "Channels")
    first, rest = rows[:_ROWS], rows[_ROWS:]
    more = [folded(f"{len(rest)} more groups", table(head, rest, "spread"))] if rest else []
    return section("equalized", "Equalized channels", lead, table(head, first, "spread"), *more)


def _layers_of(group: Part) -> Html:
    layers = group.get("layers")
    return element("small", names(layers, 3)) if layers else fragment()
