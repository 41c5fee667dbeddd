"""Part of the report page on the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgeresnet.quantize.page.markup import (
    Html,
    element,
    finite,
    maps,
    number,
    points,
    share,
)
from edgeresnet.quantize.page.plots import whisker
from edgeresnet.quantize.page.words import words

Part = Mapping[str, Any]
_FIGURES = {"top1": "Top-1", "top5": "Top-5", "map": "mAP@[.5:.95]", "map50": "mAP@.5"}
_VERDICTS = {
    "inside": ("good", "Inside the budget"),
    "outside": ("bad", "Outside the budget"),
    "unchecked": ("open", "Not checked"),
}


def headline(report: Part) -> Html:
    """The verdict, and the figures it rests on."""
    accuracy = report.get("accuracy") or {}
    kind, title = _VERDICTS.get(str(accuracy.get("verdict")), _VERDICTS["unchecked"])
    drop = accuracy.get("drop") or {}
    value, low, high = (finite(drop.get(key)) for key in ("value", "low", "high"))
    plot: list[Html] = []
    if value is not None and low is not None and high is not None:
        drawn = whisker(value, low, high, finite(accuracy.get("max_drop")))
        caption = (
            f"Points of {accuracy.get('metric', 'accuracy')} lost to INT8. Dot: measured. Bar: "
            "where the loss lies with 95 % confidence. Shaded: allowed."
        )
        plot = [element("figure", drawn, element("figcaption", caption))]
    return element(
        "section",
        element("p", title, class_=f"verdict {kind}"),
        element("p", _in_words(accuracy, value, high, words(report).truth), class_="lead"),
        *plot,
        _tiles(report, accuracy),
        id="verdict",
    )


def _in_words(accuracy: Part, value: float | None, high: float | None, truth: str) -> str:
    if value is None and accuracy.get("verdict") in {"inside", "outside"}:
        return "By how much is not in the report."
    if value is None:
        why = accuracy.get("note") or "there were no pictures to judge it with"
        return (
            f"Nobody knows yet how right this graph is: {why}. "
            "Quantize again with --eval and pictures that calibration does not see, best with "
            f"{truth}."
        )
    metric, budget = accuracy.get("metric", "accuracy"), finite(accuracy.get("max_drop"))
    if value < 0:
        found = f"INT8 is {points(-value)} points of {metric} better than float, by chance"
    elif value == 0:
        found = f"INT8 loses no points of {metric} against float"
    else:
        found = f"INT8 loses {points(value)} points of {metric} against float"
    allowed = "" if budget is None else f"; {number(budget)} allowed"
    said = f"{found}, on {number(accuracy.get('pictures'))} pictures{allowed}."
    if accuracy.get("verdict") == "outside":
        said += (
            " See below where precision is lost; then try --recipe accurate, more --samples, or a "
            "larger --max-drop if your use allows it."
        )
    elif budget is not None and high is not None and high > budget:
        note = f" ({accuracy['note']})" if accuracy.get("note") else ""
        return f"{said} The interval reaches beyond the budget: more pictures would tell{note}."
    return said


def _tiles(report: Part, accuracy: Part) -> Html:
    found: list[tuple[str, str, str]] = []

    def add(title: str, value: str, small: str = "") -> None:
        found.append((title, value, small))

    def span(interval: Part) -> str:
        return f"{points(interval.get('low'))} to {points(interval.get('high'))}"

    told = words(report)
    if agreement := accuracy.get("agreement"):
        boxes = accuracy.get("boxes")
        of = "" if boxes is None else f", of {number(boxes)} sure boxes"
        add(told.agreement, points(agreement.get("value"), " %"), f"{span(agreement)}{of}")
    for key, title in _FIGURES.items():
        if pair := accuracy.get(key):
            before, after = (pair.get(which) or {} for which in ("float", "int8"))
            ends = [points(side.get("value")) for side in (before, after)]
            add(f"{title}, float \u2192 INT8", " \u2192 ".join(ends), span(after))
    if finite(report.get("logit_error")) is not None:
        add(told.error, share(report["logit_error"]), told.of_what)
    if accuracy.get("pictures") is not None:
        add("Judged on", number(accuracy["pictures"]), "pictures")
    target = report.get("target")
    add("Written as", str(report.get("scheme", "")), f"for {target}" if target else "")
    layers = maps(report.get("layers"))
    if layers:
        kept = sum(layer.get("precision") == "float" for layer in layers)
        add("Layers in INT8", f"{len(layers) - kept} of {len(layers)}", "")
    tiles = [
        element("div", element("dt", title), element("dd", value, element("small", small)))
        for title, value, small in found
    ]
    return element("dl", *tiles, class_="tiles")
