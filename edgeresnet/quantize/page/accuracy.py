"""Parts of the report page on the verdict and the labels that changed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from edgeresnet.quantize.page.markup import (
    Html,
    code,
    element,
    finite,
    fragment,
    maps,
    number,
    points,
    section,
    share,
)
from edgeresnet.quantize.page.plots import whisker

Part = Mapping[str, Any]
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_VERDICTS = {
    "inside": ("good", "Inside the budget"),
    "outside": ("bad", "Outside the budget"),
    "unchecked": ("open", "Not checked"),
}
_OUTCOMES = {
    "wrong": ("bad", "became wrong"),
    "right": ("good", "became right"),
    "both": ("open", "wrong both times"),
    "unknown": ("open", "changed"),
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
        element("p", _in_words(accuracy, value, high), class_="lead"),
        *plot,
        _tiles(report, accuracy),
        id="verdict",
    )


def _in_words(accuracy: Part, value: float | None, high: float | None) -> str:
    if value is None and accuracy.get("verdict") in {"inside", "outside"}:
        return "By how much is not in the report."
    if value is None:
        return (
            "Nobody knows yet how right this graph is: there were no pictures to judge it with. "
            "Quantize again with --eval and pictures that calibration does not see, best with "
            "their classes."
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

    if agreement := accuracy.get("agreement"):
        add("Same label as float", points(agreement.get("value"), " %"), span(agreement))
    for key, title in (("top1", "Top-1"), ("top5", "Top-5")):
        if pair := accuracy.get(key):
            before, after = (pair.get(which) or {} for which in ("float", "int8"))
            ends = [points(side.get("value")) for side in (before, after)]
            add(f"{title}, float \u2192 INT8", " \u2192 ".join(ends), span(after))
    if finite(report.get("logit_error")) is not None:
        add("Error of the logits", share(report["logit_error"]), "as a share of their size")
    if accuracy.get("pictures") is not None:
        add("Judged on", number(accuracy["pictures"]), "pictures")
    target = report.get("target")
    add("Written as", str(report.get("scheme", "")), f"for {target}" if target else "")
    layers = maps(report.get("layers"))
    if layers:
        kept = sum(layer.get("precision") == "float" for layer in layers)
        add("Layers in INT8", f"{len(layers) - kept} of {len(layers)}", "")
    boxes = [
        element("div", element("dt", title), element("dd", value, element("small", small)))
        for title, value, small in found
    ]
    return element("dl", *boxes, class_="tiles")


def flipped(report: Part) -> Html | None:
    """The pictures that INT8 labels otherwise than float."""
    accuracy = report.get("accuracy") or {}
    if report.get("flips") is None or accuracy.get("verdict") == "unchecked":
        return None
    flips = maps(report["flips"])
    total = finite(report.get("flips_total")) or len(flips)
    known = Counter(_outcome(flip) for flip in flips)
    summed = [f"{known[k]} {said}" for k, (_, said) in _OUTCOMES.items() if known[k]]
    if not flips:
        body = element("p", "Not one picture changed its label.")
    else:
        shown = f"{len(flips)} of {number(total)} shown" if total > len(flips) else number(total)
        counted = element("p", f"{shown}: {', '.join(summed)}.")
        body = fragment(counted, element("div", *(_card(flip) for flip in flips), class_="cards"))
    lead = (
        "Pictures that get another label from INT8 than from float. Most should be ones that float "
        "was unsure of too; if clear cases with high scores change, precision is lost somewhere."
    )
    return section("flips", "Which pictures changed their label", lead, body)


def _outcome(flip: Part) -> str:
    truth, before, after = flip.get("truth"), _answer(flip, "float"), _answer(flip, "int8")
    if truth is None:
        return "unknown"
    return "wrong" if truth == before[0] else "right" if truth == after[0] else "both"


def _answer(flip: Part, which: str) -> tuple[Any, str]:
    """Label, and score in words."""
    found = flip.get(which) or {}
    score = finite(found.get("score"))
    return found.get("label"), "" if score is None else f"{100 * score:.0f} %"


def _card(flip: Part) -> Html:
    kind, said = _OUTCOMES[_outcome(flip)]
    file, truth, jpeg = str(flip.get("file", "")), flip.get("truth"), str(flip.get("jpeg") or "")
    picture = element("div", "no thumbnail", class_="gone")
    if _BASE64.fullmatch(jpeg):
        picture = element("img", src=f"data:image/jpeg;base64,{jpeg}", alt=file, loading="lazy")
    rows = []
    for title, which in (("float", "float"), ("INT8", "int8")):
        label, score = _answer(flip, which)
        right = truth is not None and label == truth
        mark = element(
            "b", f"{label} \u2713" if right else str(label), class_="ok" if right else None
        )
        rows.append(element("tr", *(element("td", cell) for cell in (title, mark, score))))
    chip = element("span", said, class_=f"chip {kind}")
    true = [element("small", f"truth: {truth}")] if _outcome(flip) == "both" else []
    caption = element("figcaption", chip, element("table", *rows), *true, code(file))
    return element("figure", picture, caption, class_="card")
