"""Part of the report page on the pictures of which INT8 says something else than float."""

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
    section,
)

Part = Mapping[str, Any]
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_LABELS = {
    "wrong": ("bad", "became wrong"),
    "right": ("good", "became right"),
    "both": ("open", "wrong both times"),
    "unknown": ("open", "changed"),
}
_BOXES = {
    "missed": ("bad", "missed"),
    "alarm": ("bad", "false alarm"),
    "wrong": ("bad", "became wrong"),
    "lost": ("open", "lost"),
    "new": ("open", "extra"),
    "moved": ("open", "moved"),
    "renamed": ("open", "other class"),
    "right": ("good", "became right"),
    "found": ("good", "found"),
    "quiet": ("good", "false alarm gone"),
}
_BY_TRUTH: Mapping[tuple[object, ...], str] = {
    ("lost", True): "missed",
    ("lost", False): "quiet",
    ("new", True): "found",
    ("new", False): "alarm",
    ("renamed", True, False): "wrong",
    ("renamed", False, True): "right",
}
_FEW = 6
"""Changes of one picture that are listed."""
_LEADS = {
    "classify": "Pictures that get another label from INT8 than from float. Most should be ones "
    "that float was unsure of too; if clear cases with high scores change, precision is lost "
    "somewhere.",
    "detect": "Pictures of which INT8 gives other boxes than float: a box is the same when its "
    "class is and the two overlap by an IoU of 0.8, and counts when one side is surer than 50 %. "
    "Most changes should be of things that float was hardly sure of; if boxes with high scores go, "
    "precision is lost somewhere.",
    "embed": "The pictures whose vector INT8 turned most, by the cosine of the angle to float's. "
    "Between two pictures that are alike it should stay well above what lies between others.",
}
_TITLES = {
    "classify": "Which pictures changed their label",
    "detect": "Which pictures changed their boxes",
    "embed": "Which pictures turned most",
}
_NONE = {
    "classify": "Not one picture changed its label.",
    "detect": "Not one picture changed its boxes.",
    "embed": "No picture was judged.",
}


def flipped(report: Part) -> Html | None:
    """The pictures of which INT8 says something else."""
    accuracy = report.get("accuracy") or {}
    if report.get("flips") is None or accuracy.get("verdict") == "unchecked":
        return None
    flips = maps(report["flips"])
    total = finite(report.get("flips_total")) or len(flips)
    task = str(report.get("task"))
    task = task if task in _TITLES else "classify"
    if not flips:
        body = element("p", _NONE[task])
    else:
        shown = f"{len(flips)} of {number(total)} shown" if total > len(flips) else number(total)
        said = {"detect": _of_boxes, "embed": _of_vectors}.get(task, _of_labels)(flips)
        cards, summed, kind = said
        counted = element("p", f"{shown}: {summed}." if summed else f"{shown}.")
        body = fragment(counted, element("div", *cards, class_=kind))
    return section("flips", _TITLES[task], _LEADS[task], body)


def _of_labels(flips: list[Part]) -> tuple[list[Html], str, str]:
    known = Counter(_outcome(flip) for flip in flips)
    summed = ", ".join(f"{known[k]} {said}" for k, (_, said) in _LABELS.items() if known[k])
    return [_label_card(flip) for flip in flips], summed, "cards"


def _of_boxes(flips: list[Part]) -> tuple[list[Html], str, str]:
    known = Counter(_outcome_of_box(c) for flip in flips for c in maps(flip.get("changes")))
    summed = ", ".join(f"{known[k]} {said}" for k, (_, said) in _BOXES.items() if known[k])
    marks = (("was", "float's box"), ("now", "INT8's box"), ("kept", "both have it"))
    legend = element(
        "p",
        *(element("span", element("i", class_=kind), said) for kind, said in marks),
        class_="legend",
    )
    return [legend, *(_box_card(flip) for flip in flips)], summed, "cards wide"


def _of_vectors(flips: list[Part]) -> tuple[list[Html], str, str]:
    cards = []
    for flip in flips:
        cosine = finite(flip.get("cosine"))
        told = "\u2013" if cosine is None else f"cosine {cosine:.4f}"
        file = str(flip.get("file", ""))
        caption = element("figcaption", element("b", told), code(file))
        cards.append(element("figure", _picture(flip), caption, class_="card"))
    return cards, "", "cards"


def _picture(flip: Part) -> Html:
    file, jpeg = str(flip.get("file", "")), str(flip.get("jpeg") or "")
    if _BASE64.fullmatch(jpeg):
        return element("img", src=f"data:image/jpeg;base64,{jpeg}", alt=file, loading="lazy")
    return element("div", "no thumbnail", class_="gone")


def _outcome(flip: Part) -> str:
    truth, before, after = flip.get("truth"), _answer(flip, "float"), _answer(flip, "int8")
    if truth is None:
        return "unknown"
    return "wrong" if truth == before[0] else "right" if truth == after[0] else "both"


def _outcome_of_box(change: Part) -> str:
    """What the change means, by the truth where that is known."""
    kind = str(change.get("kind"))
    before, after = ((change.get(side) or {}).get("right") for side in ("float", "int8"))
    sides = {"lost": (before,), "new": (after,)}.get(kind, (before, after))
    return _BY_TRUTH.get((kind, *sides), kind if kind in _BOXES else "moved")


def _answer(side: Part, which: str) -> tuple[Any, str]:
    """Label, and score in words."""
    found = side.get(which) or {}
    score = finite(found.get("score"))
    return found.get("label"), "" if score is None else f"{100 * score:.0f} %"


def _label_card(flip: Part) -> Html:
    kind, said = _LABELS[_outcome(flip)]
    truth = flip.get("truth")
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
    named = code(str(flip.get("file", "")))
    caption = element("figcaption", chip, element("table", *rows), *true, named)
    return element("figure", _picture(flip), caption, class_="card")


def _box_card(flip: Part) -> Html:
    changes = maps(flip.get("changes"))
    rows = []
    for at, change in enumerate(changes[:_FEW], start=1):
        kind, said = _BOXES[_outcome_of_box(change)]
        chip = element("span", said, class_=f"chip {kind}")
        cells = (str(at), fragment(chip, " ", _from_to(change)))
        rows.append(element("tr", *(element("td", cell) for cell in cells)))
    more = []
    if beyond := len(changes) - _FEW:
        more = [element("small", f"and {beyond} more changes")] if beyond > 0 else []
    same = finite(flip.get("same"))
    others = [element("small", f"{number(same)} boxes as before")] if same else []
    caption = element(
        "figcaption", element("table", *rows), *more, *others, code(str(flip.get("file", "")))
    )
    return element("figure", _picture(flip), caption, class_="card")


def _from_to(change: Part) -> str:
    """``cat 71 % → 38 %``, or ``cat 71 % → dog 60 %``; a dash where a side has nothing."""
    before, after = _answer(change, "float"), _answer(change, "int8")
    name = before[0] if before[0] is not None else after[0]
    ends = []
    for label, score in (before, after):
        told = score or "nothing"
        ends.append(told if label in (None, name) else f"{label} {told}")
    return f"{name} {ends[0]} \u2192 {ends[1]}"
