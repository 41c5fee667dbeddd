"""Part of the report page on where the network loses precision."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from edgeresnet.quantize.page.markup import (
    Html,
    code,
    element,
    finite,
    folded,
    fragment,
    maps,
    number,
    section,
    share,
    table,
)
from edgeresnet.quantize.page.plots import bar
from edgeresnet.quantize.page.words import words

Part = Mapping[str, Any]
_FAIR_DB, _POOR_DB, _FULL_DB = 20.0, 10.0, 50.0
_AS_FLOAT_DB = 100.0
"""Above it, INT8 and float differ by float's own rounding only."""
_SPREAD = 30.0
_FIRST = 12


def lossy(report: Part) -> Html | None:
    """Signal to noise of each layer in the order of the network; what each costs alone."""
    layers = maps(report.get("layers"))
    alone = maps(report.get("sensitivity"))
    if not layers and not alone:
        return None
    lead = (
        "How clean the output of each layer still is, from the first to the last: 20 dB means that "
        "the noise is a tenth of the signal, 10 dB a third. A slow fall is normal, noise adds "
        "up; a sudden one names a layer to return to float (float_nodes in a recipe)."
    )
    measured = [layer for layer in layers if finite(layer.get("snr_db")) is not None]
    body: list[Html] = []
    if measured:
        body = [element("p", _worst(measured), class_="reason"), _legend()]
        body.append(element("div", _scale(), *(_row(layer) for layer in layers), class_="bars"))
    if layers:
        body.append(folded("All figures", _figures(layers)))
    if alone:
        body += _alone(alone, words(report).error)
    return section("layers", "Where precision is lost", lead, *body)


def _worst(layers: Sequence[Part]) -> Html:
    lowest = min(layers, key=lambda layer: layer["snr_db"])
    said = fragment("The noisiest output is ", code(lowest.get("name")), f" with {_db(lowest)}.")
    if lowest["snr_db"] >= _FAIR_DB:
        return fragment(said, " Nothing here needs mending.")
    noisy = [la for la in layers if la["snr_db"] < _FAIR_DB and la.get("precision") != "float"]
    if not noisy:
        return fragment(said, " It is in float already: its noise comes from the layers before it.")
    worst = max(noisy, key=lambda layer: finite(layer.get("lost_db")) or 0.0)
    lost = _decibels(worst.get("lost_db"))
    adds = fragment(" Of those below 20 dB, ", code(worst.get("name")), " adds most: ")
    said = fragment(said, " It also adds most: " if worst is lowest else adds, f"{lost}. ")
    spread = finite(worst.get("channel_spread")) or 0.0
    if spread > _SPREAD:
        return fragment(
            said,
            f"Its strongest channel is {number(spread)} times its weakest, so the weak ones get "
            "few of the steps: equalize channels in the recipe, or return it to float.",
        )
    return fragment(said, "If the verdict is bad, try --recipe accurate, or return it to float.")


def _legend() -> Html:
    kinds = (("int8", "INT8"), ("fair", "below 20 dB"), ("poor", "below 10 dB"), ("float", "float"))
    marks = [element("span", element("i", class_=kind), said) for kind, said in kinds]
    return element("p", *marks, class_="legend")


def _db(layer: Part) -> str:
    value = finite(layer.get("snr_db"))
    return "as float" if value is not None and value > _AS_FLOAT_DB else _decibels(value)


def _decibels(value: object) -> str:
    known = finite(value)
    return number(None) if known is None else f"{known:.1f} dB"


def _scale() -> Html:
    marks = (element("span", f"{at:.0f}") for at in range(0, int(_FULL_DB) + 1, 10))
    return element(
        "div",
        element("span"),
        element("span", *marks, class_="scale"),
        element("span", "dB"),
        class_="row",
    )


def _row(layer: Part) -> Html:
    value = finite(layer.get("snr_db"))
    kind = "int8"
    if layer.get("precision") == "float":
        kind = "float"
    elif value is not None and value < _FAIR_DB:
        kind = "poor" if value < _POOR_DB else "fair"
    return element(
        "div",
        code(layer.get("name")),
        bar(value or 0.0, _FULL_DB, kind),
        element("span", _db(layer)),
        class_="row",
    )


def _figures(layers: Sequence[Part]) -> Html:
    columns: dict[str, tuple[str, Callable[[Any], str]]] = {
        "op": ("Kind", str),
        "precision": ("Precision", str),
        "snr_db": ("Signal to noise", _decibels),
        "lost_db": ("Lost here", _decibels),
        "macs": ("Million multiplications", lambda v: number((finite(v) or 0.0) / 1e6)),
        "channel_spread": ("Channel spread", number),
    }
    known = {k: v for k, v in columns.items() if any(layer.get(k) is not None for layer in layers)}
    rows = [
        (
            code(layer.get("name")),
            *(
                tell(layer.get(key)) if layer.get(key) is not None else ""
                for key, (_, tell) in known.items()
            ),
        )
        for layer in layers
    ]
    return table(("Layer", *(title for title, _ in known.values())), rows)


def _alone(layers: Sequence[Part], error: str) -> list[Html]:
    ranked = sorted(layers, key=lambda layer: -(finite(layer.get("logit_error")) or 0.0))
    largest = finite(ranked[0].get("logit_error")) or 0.0
    rows = [
        (
            code(layer.get("layer")),
            element(
                "div",
                bar(finite(layer.get("logit_error")) or 0.0, largest, "int8"),
                element("span", share(layer.get("logit_error"))),
                class_="barred",
            ),
            share(layer.get("macs_share")),
        )
        for layer in ranked
    ]
    head = ("Layer", error, "Of all work")
    lead = (
        "The error in the network's output when this layer alone is INT8. One high up that "
        "has little of the work, the multiplications, is cheap to keep in float."
    )
    first, rest = rows[:_FIRST], rows[_FIRST:]
    more = [folded(f"The other {len(rest)} layers", table(head, rest, "alone"))] if rest else []
    title = element("h3", "Each layer alone")
    return [title, element("p", lead, class_="lead"), table(head, first, "alone"), *more]
