"""The report of ``quantize`` as one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgeresnet.quantize.page.accuracy import headline
from edgeresnet.quantize.page.choices import advised, budgeted
from edgeresnet.quantize.page.flips import flipped
from edgeresnet.quantize.page.layers import lossy
from edgeresnet.quantize.page.markup import (
    Html,
    code,
    element,
    finite,
    folded,
    fragment,
    number,
    section,
    table,
)
from edgeresnet.quantize.page.ranges import equalized, ranged, settled
from edgeresnet.quantize.page.style import STYLE
from edgeresnet.quantize.page.words import words

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_PARTS = (
    ("flips", "", flipped),
    ("layers", "Precision", lossy),
    ("ranges", "Ranges", ranged),
    ("settled", "Settling", settled),
    ("equalized", "Equalized", equalized),
    ("budget", "Float layers", budgeted),
    ("worth", "Speed", advised),
)


def page(report: Mapping[str, Any]) -> str:
    """A whole HTML document; parts that ``report`` has no data for are left out.

    ``report`` is what ``QuantizeReport.as_json(thumbnails=True)`` gives. Nothing in it is trusted:
    all text is escaped, and the document forbids itself to load or run anything.
    """
    graph = str(report.get("graph", ""))
    name = graph.replace("\\", "/").rsplit("/", 1)[-1] or "graph"
    changed = words(report).changed
    found = [(anchor, short or changed, make(report)) for anchor, short, make in _PARTS]
    parts = [(anchor, short, part) for anchor, short, part in found if part is not None]
    links = [element("a", short, href=f"#{anchor}") for anchor, short, _ in parts]
    links.append(element("a", "How it was made", href="#made"))
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{name}: INT8 report"),
        element("style", Html(STYLE)),
    )
    title = element("header", element("p", "edgeresnet quantize"), element("h1", name))
    body = element(
        "body",
        title,
        element(
            "main", headline(report), element("nav", *links), *(p for *_, p in parts), _made(report)
        ),
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def _made(report: Mapping[str, Any]) -> Html:
    calibration = report.get("calibration") or {}
    recipe = report.get("recipe") or {}
    facts: list[tuple[str, object]] = [
        ("Graph", report.get("graph")),
        ("SHA-256", report.get("sha256")),
        ("Scheme", report.get("scheme")),
        ("Target", report.get("target")),
        ("Training match", report.get("training_match")),
        ("Classes", (report.get("accuracy") or {}).get("mapping")),
        ("Calibration", _calibrated(calibration)),
        ("Their digest", calibration.get("list_sha256")),
        ("Methods chosen", calibration.get("methods")),
        ("Weight bits", calibration.get("weight_bits")),
        ("Made with", report.get("made_with")),
    ]
    body = [_facts(facts)]
    if recipe:
        said = f"Recipe {recipe.get('name', '')}"
        body += [element("h3", said), _facts([(k, v) for k, v in recipe.items() if k != "name"])]
    if machine := (report.get("advice") or {}).get("fingerprint"):
        body += [element("h3", "Machine that measured the speed"), _facts(list(machine.items()))]
    if notes := report.get("notes"):
        body += [element("h3", "Notes"), element("ul", *(element("li", str(n)) for n in notes))]
    if unreadable := report.get("unreadable"):
        rows = [(code(file), str(why)) for file, why in unreadable.items()]
        listed = table(("File", "Reason"), rows, "facts")
        body.append(folded(f"Pictures that could not be read: {len(rows)}", listed))
    lead = (
        "What it takes to make the same graph again, and to prove that it is the same. The digests "
        "name the exact pictures and the exact file; keep this page beside the graph."
    )
    return section("made", "How it was made", lead, *body)


def _calibrated(calibration: Mapping[str, Any]) -> str | None:
    if calibration.get("pictures") is None:
        return None
    seconds = calibration.get("seconds")
    took = "" if seconds is None else f" in {number(seconds)} s"
    return f"{number(calibration['pictures'])} pictures{took}"


def _facts(facts: Sequence[tuple[str, object]]) -> Html:
    rows = [
        fragment(element("dt", str(key).replace("_", " ")), element("dd", _told(value)))
        for key, value in facts
        if value not in (None, "", [], {}, ())
    ]
    return element("dl", *rows, class_="facts")


def _told(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_told(inner)}" for key, inner in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(_told(inner) for inner in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number(None) if finite(value) is None else f"{value:g}"
    return str(value)
