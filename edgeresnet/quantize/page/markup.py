"""Markup for the report page, in which text is escaped where an element is born."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

_VOID = frozenset({"img", "meta"})
_CONTROLS = dict.fromkeys((*range(9), *range(11, 32), 127), "\ufffd")
_NOTHING = "\u2013"
_LARGEST = 1e30
"""Beyond it, differences and ratios overflow; NaN is beyond as well."""


class Html(str):
    """Markup, written as it is; every other string is text and gets escaped."""

    __slots__ = ()


def element(tag: str, /, *content: str, **attributes: str | float | None) -> Html:
    """One element. ``class_`` means ``class``, ``stroke_width`` means ``stroke-width``.

    Content that is not :class:`Html` is text; an attribute that is ``None`` is left out.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_text(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if tag in _VOID:
        return Html(f"<{tag}{written}>")
    return Html(f"<{tag}{written}>{fragment(*content)}</{tag}>")


def fragment(*content: str) -> Html:
    """Elements and text, one after the other."""
    return Html("".join(c if isinstance(c, Html) else _text(c) for c in content))


def _text(value: str | float) -> str:
    """Escaped; what no file can hold (halves of surrogates, control characters) is replaced."""
    if isinstance(value, float):
        value = f"{value:.5g}"
    return escape(str(value).encode("utf-8", "replace").decode().translate(_CONTROLS))


def section(anchor: str, title: str, lead: str, *content: str) -> Html:
    """A part of the page: what it shows and what to do about it comes first."""
    heading = element("h2", title)
    return element("section", heading, element("p", lead, class_="lead"), *content, id=anchor)


def table(head: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> Html:
    """A table that scrolls by itself where the screen is narrow; the first column names."""
    top = element("tr", *(element("th", text, scope="col") for text in head))
    body = (element("tr", *(element("td", cell) for cell in row)) for row in rows)
    whole = element("table", element("thead", top), element("tbody", *body), class_=kind or None)
    return element("div", whole, class_="scroll")


def folded(title: str, *content: str) -> Html:
    """What only some readers want to see."""
    return element("details", element("summary", title), *content)


def code(name: object) -> Html:
    """The name of a layer, a tensor or a file."""
    return element("code", str(name))


def names(items: Iterable[object], most: int = 8) -> Html:
    """Names in a row, and how many there are beyond ``most``."""
    listed = list(items)
    parts: list[str] = []
    for item in listed[:most]:
        parts += [", ", code(item)] if parts else [code(item)]
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return fragment(*parts, more)


def maps(value: object) -> list[Mapping[str, Any]]:
    """The tables in a list that may be absent."""
    listed = value if isinstance(value, (list, tuple)) else ()
    return [item for item in listed if isinstance(item, Mapping)]


def finite(value: object) -> float | None:
    """A number that can be drawn and compared, or ``None``."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < _LARGEST:
        return float(value)
    return None


def number(value: object, unit: str = "", digits: int = 3) -> str:
    """To ``digits`` significant digits, thousands parted; a dash for what is no number."""
    known = finite(value)
    if known is None:
        return _NOTHING
    whole = 100 <= abs(known) < 1e9
    return f"{known:,.0f}{unit}" if whole else f"{known + 0.0:.{digits}g}{unit}"


def points(value: object, unit: str = "") -> str:
    """Percent, points or a time, to two decimals."""
    known = finite(value)
    return _NOTHING if known is None else f"{round(known, 2) + 0.0:.2f}{unit}"


def share(value: object) -> str:
    """A share of 0 to 1, in percent."""
    known = finite(value)
    if known is None:
        return _NOTHING
    if 0 < known < 0.0001:
        return "under 0.01 %"
    return "0 %" if known == 0 else f"{100 * known:.{2 if known < 0.1 else 1}f} %"


def between(interval: object, unit: str = "") -> str:
    """``value (low to high)`` of an interval's JSON."""
    if not isinstance(interval, Mapping):
        return _NOTHING
    value, low, high = (points(interval.get(key)) for key in ("value", "low", "high"))
    return f"{value}{unit} ({low} to {high})"
