"""Parts of the report page on what to run: layers in float, another precision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgeresnet.quantize.page.markup import (
    Html,
    between,
    element,
    finite,
    fragment,
    maps,
    names,
    number,
    points,
    section,
    share,
    table,
)
from edgeresnet.quantize.page.plots import curve
from edgeresnet.quantize.page.words import words

Part = Mapping[str, Any]


def budgeted(report: Part) -> Html | None:
    """How the drop shrinks while layers return to float."""
    budget = report.get("budget") or {}
    steps = maps(budget.get("steps"))
    if not steps:
        return None
    limit, metric = finite(budget.get("max_drop")), budget.get("metric", "accuracy")
    known = [(finite(step.get("float_share")), finite(step.get("drop")), step) for step in steps]
    drawn = sorted(
        (
            (100 * x, y, _returned(steps, step))
            for x, y, step in known
            if x is not None and y is not None
        ),
        key=lambda point: point[0],
    )
    plot: list[Html] = []
    if len(drawn) > 1:
        told = [f"{number(x)} % in float, drop {number(y)}: {said}" for x, y, said in drawn]
        titles = ("percent of the multiplications that run in float", f"points of {metric} lost")
        plot = [curve([(x, y) for x, y, _ in drawn], told, titles, limit=limit)]
    rows = [
        (
            _step(steps, step, budget.get("returned")),
            points(step.get("drop")),
            points(step.get("agreement"), " %"),
            share(step.get("logit_error")),
            share(step.get("float_share")),
        )
        for step in steps
    ]
    told_by = words(report)
    head = ("Returned to float", "Drop", told_by.alike, told_by.error, "Runs in float")
    lead = (
        "INT8 everywhere was outside the budget, so layers went back to float, the most harmful "
        "first. Further right is slower; the leftmost point below the line is the one to want. A "
        "curve that never gets below it asks for another --recipe, not for more float."
    )
    kept = budget.get("returned")
    written = []
    if isinstance(kept, (list, tuple)) and kept:
        told_kept = fragment(f"In float in the graph that was written ({len(kept)}): ", names(kept))
        written = [element("p", told_kept)]
    title = "What returning layers to float buys"
    return section("budget", title, lead, *plot, *written, table(head, rows))


def _returned(steps: list[Part], step: Part) -> str:
    if step.get("returned"):
        return str(step["returned"])
    count = finite(step.get("layers", 0 if step is steps[0] else None))
    if count is None:
        return "fewer layers"
    return f"fewer again: {number(count)} in float" if count else "nothing: INT8 everywhere"


def _step(steps: list[Part], step: Part, written: object) -> Html:
    said = _returned(steps, step)
    told = names(said.split(", "), 3) if step.get("returned") else fragment(said)
    count = len(written) if isinstance(written, (list, tuple)) else None
    if count is None or step.get("layers") != count:
        return told
    return fragment(told, " ", element("span", "written", class_="chip good"))


def advised(report: Part) -> Html | None:
    """Speed and size of each precision on the machine that measured."""
    advice = report.get("advice") or {}
    rows = maps(advice.get("alternatives"))
    if not rows:
        return None
    alike = words(report).alike
    head = ("", "Time a picture", "Times as fast", "Pictures/s", "Size", alike, "Budget")
    cells = [
        (
            _precision(row, advice.get("best")),
            points((row.get("latency_ms") or {}).get("p50"), " ms"),
            between(row.get("speedup")),
            number(row.get("images_per_s")),
            number(row.get("size_mb"), " MB"),
            points(row.get("agreement"), " %"),
            {True: "inside", False: "outside"}.get(row.get("inside", 0), ""),
        )
        for row in rows
    ]
    machine = advice.get("fingerprint") or {}
    lead = (
        "Every precision that this machine has, timed side by side on the same pictures. If INT8 "
        "is not clearly faster, run the more exact one; another device may well differ."
    )
    where = (
        f"Measured on {machine['cpu']}, {number(machine.get('cores'))} cores"
        if machine.get("cpu")
        else ""
    )
    counted = f"{number(advice.get('pictures'))} pictures, {number(advice.get('rounds'))} rounds"
    reason = element("p", str(advice.get("reason", "")), class_="reason")
    small = element("p", f"{where}; {counted}." if where else f"{counted}.", class_="aside")
    return section("worth", "Is INT8 worth it here?", lead, reason, table(head, cells), small)


def _precision(row: Part, best: object) -> Html:
    name = str(row.get("name", ""))
    chosen = [element("span", "run this", class_="chip good")] if name == best else []
    return fragment(element("b", name), " ", *chosen)
