"""Drawings of the report page: SVG that stretches, labels that stay as large as the text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edgeresnet.quantize.page.markup import Html, element, fragment, number

Point = tuple[float, float]
_CLOSEST = 7.0
"""Percent of the axis between two ticks, at least."""


@dataclass(frozen=True)
class Axis:
    """Maps values to percent of a side of the drawing."""

    low: float
    high: float
    logarithmic: bool = False

    @staticmethod
    def around(values: Iterable[float], margin: float = 0.08) -> Axis:
        """Holds all values, with a margin as a share of their span."""
        known = list(values)
        low, high = min(known, default=0.0), max(known, default=1.0)
        room = (high - low) * margin if high > low else max(abs(high), 1.0) / 2
        return Axis(low - room, high + room)

    def at(self, value: float) -> float:
        """0 to 100; what lies outside is at the end."""
        low, high = self.low, self.high
        if self.logarithmic:
            low, high, value = (math.log(max(v, 1e-9)) for v in (low, high, value))
        return min(max(100 * (value - low) / ((high - low) or 1.0), 0.0), 100.0)

    def ticks(self, about: int = 5) -> list[float]:
        """Round values, ``about`` as many as asked for."""
        rough = (self.high - self.low) / about
        power = 10.0 ** math.floor(math.log10(rough))
        step = next((power * m for m in (1, 2, 5) if power * m >= rough), power * 10)
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return [k * step for k in range(first, last + 1)]

    def apart(self, values: Iterable[float]) -> list[float]:
        """Those whose labels do not touch; of two that would, the larger."""
        kept: list[float] = []
        for value in sorted(values, reverse=True):
            if not kept or abs(self.at(kept[-1]) - self.at(value)) >= _CLOSEST:
                kept.append(value)
        return kept


def stretched(*marks: Html, kind: str, label: str) -> Html:
    """A drawing 100 wide and 100 high, y downwards, that fills its box."""
    return element(
        "svg",
        *marks,
        class_=kind,
        viewBox="0 0 100 100",
        preserveAspectRatio="none",
        role="img",
        aria_label=label,
    )


def line(start: Point, end: Point, kind: str, *content: Html) -> Html:
    """A line whose width does not stretch."""
    return _path(f"M{_pair(start)} L{_pair(end)}", kind, *content)


def dot(at: Point, kind: str, told: str) -> Html:
    """A round dot, in the stretched drawing too, that tells something when pointed at."""
    return _path(f"M{_pair(at)} h0", f"dot {kind}", element("title", told))


def box(left: float, top: float, right: float, bottom: float, kind: str) -> Html:
    """A filled rectangle."""
    return element(
        "rect",
        x=left,
        y=top,
        width=max(right - left, 0.0),
        height=max(bottom - top, 0.0),
        class_=kind,
    )


def _path(drawn: str, kind: str, *content: Html) -> Html:
    return element("path", *content, d=drawn, class_=kind, vector_effect="non-scaling-stroke")


def _pair(at: Point) -> str:
    return f"{at[0]:.2f} {at[1]:.2f}"


def _label(text: str, kind: str, **place: float) -> Html:
    style = ";".join(f"{side}:{percent:.2f}%" for side, percent in place.items())
    return element("span", text, class_=kind, style=style)


def whisker(value: float, low: float, high: float, budget: float | None) -> Html:
    """A drop with its interval, beside zero and the budget."""
    known = (0.0, value, low, high, *(() if budget is None else (budget,)))
    axis = Axis.around(known, 0.12)
    x = axis.at(value)
    marks = [line((0, 80), (100, 80), "axis"), line((axis.at(0), 8), (axis.at(0), 80), "zero")]
    labels = [_label(number(t), "tick x", left=axis.at(t)) for t in axis.ticks()]
    over = budget is not None and value > budget
    if budget is not None:
        edge = axis.at(budget)
        marks = [box(0, 8, edge, 80, "allowed"), *marks, line((edge, 8), (edge, 80), "limit")]
        side = {"right": 100 - edge} if edge > 50 else {"left": edge}
        labels.append(_label(f"budget {number(budget)}", "note", **side))
    kind = "bad" if over else "good"
    marks.append(line((axis.at(low), 44), (axis.at(high), 44), f"interval {kind}"))
    marks += [
        line((axis.at(end), 34), (axis.at(end), 54), f"interval {kind}") for end in (low, high)
    ]
    marks.append(dot((x, 44), f"large {kind}", f"{number(value)} points"))
    told = f"drop {number(value)}, from {number(low)} to {number(high)}"
    return element("div", stretched(*marks, kind="plot", label=told), *labels, class_="whisker")


def curve(
    plotted: Sequence[Point],
    told: Sequence[str],
    titles: tuple[str, str],
    *,
    limit: float | None = None,
    logarithmic: bool = False,
    unit: str = "",
) -> Html:
    """A line through points, which tell ``told``; ``limit`` is a height not to be above."""
    across = [x for x, _ in plotted]
    heights = [0.0, *(y for _, y in plotted), *(() if limit is None else (limit,))]
    y_axis = Axis.around(heights)
    x_axis = Axis(min(across), max(across), logarithmic=True)
    if not logarithmic:
        x_axis = Axis.around((0.0, *across), 0.04)
    ticks = x_axis.apart(across) if logarithmic else x_axis.ticks()
    marks, labels = [], []
    for height in y_axis.ticks(6):
        at = 100 - y_axis.at(height)
        marks.append(line((0, at), (100, at), "zero" if height == 0 else "grid"))
        labels.append(_label(number(height, unit), "tick y", top=at))
    labels += [_label(number(t), "tick x", left=x_axis.at(t)) for t in ticks]
    if limit is not None:
        at = 100 - y_axis.at(limit)
        marks.append(line((0, at), (100, at), "limit"))
        labels.append(_label(f"budget {number(limit)}", "note", right=0, bottom=100 - at))
    places = [(x_axis.at(x), 100 - y_axis.at(y)) for x, y in plotted]
    marks.append(_path("M" + " L".join(_pair(p) for p in places), "curve"))
    marks += [dot(place, "", text) for place, text in zip(places, told, strict=True)]
    across_title, up_title = titles
    drawing = stretched(*marks, kind="plot", label=f"{up_title} over {across_title}")
    return element(
        "figure",
        element("div", up_title, class_="title"),
        element("div", drawing, *labels, class_="area"),
        element("div", across_title, class_="title across"),
        class_="curve",
    )


def histogram(counts: Sequence[float], low: float, high: float, chosen: Point | None) -> Html:
    """Counts from ``low`` to ``high`` on a logarithmic scale; what ``chosen`` cuts is marked."""
    ends = (low, high, *(chosen or ()))
    axis = Axis(min(ends), max(ends))
    top = math.log1p(max(counts, default=0.0)) or 1.0
    width = (high - low) / max(len(counts), 1)
    bars: dict[str, list[str]] = {"bars": [], "bars cut": []}
    for k, count in enumerate(counts):
        if count > 0:
            left, right = axis.at(low + k * width), axis.at(low + (k + 1) * width)
            middle = low + (k + 0.5) * width
            cut = chosen is not None and not chosen[0] <= middle <= chosen[1]
            height = 100 - 94 * math.log1p(count) / top
            drawn = f"M{left:.2f} 100 V{height:.1f} H{right:.2f} V100 Z"
            bars["bars cut" if cut else "bars"].append(drawn)
    marks = [element("path", d=" ".join(d), class_=kind) for kind, d in bars.items() if d]
    if chosen is not None:
        left, right = axis.at(chosen[0]), axis.at(chosen[1])
        outside = [box(0, 0, left, 100, "cut"), box(right, 0, 100, 100, "cut")]
        ends_marked = [line((x, 0), (x, 100), "range") for x in (left, right)]
        marks = [box(left, 0, right, 100, "chosen"), *outside, *marks, *ends_marked]
    scale = element(
        "div", element("span", number(axis.low)), element("span", number(axis.high)), class_="ends"
    )
    told = f"values from {number(low)} to {number(high)}"
    return fragment(stretched(*marks, kind="histogram", label=told), scale)


def moved(before: float, after: float, largest: float) -> Html:
    """From one ratio to a smaller one, on a logarithmic axis from 1 to ``largest``."""
    axis = Axis(1.0, max(largest, 2.0), logarithmic=True)
    start, end = 2 + 0.96 * axis.at(before), 2 + 0.96 * axis.at(after)
    return stretched(
        line((0, 50), (100, 50), "grid"),
        line((start, 50), (end, 50), "way"),
        dot((start, 50), "before", f"before: {number(before)}"),
        dot((end, 50), "good", f"after: {number(after)}"),
        kind="moved",
        label=f"from {number(before)} to {number(after)}",
    )


def bar(value: float, largest: float, kind: str) -> Html:
    """A horizontal bar, as a share of ``largest``."""
    width = min(max(100 * value / (largest or 1.0), 0.0), 100.0)
    return element("span", element("i", class_=kind, style=f"width:{width:.1f}%"), class_="track")
