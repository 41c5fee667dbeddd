"""The ways in which networks are commonly trained to see a picture."""

from __future__ import annotations

from dataclasses import dataclass

from edgeresnet.core.preprocess import Color, Preprocess, Triple


@dataclass(frozen=True)
class Candidate:
    """One way in which the network may have been trained."""

    name: str
    option: str
    """What to pass to ``convert`` to get it."""
    preprocess: Preprocess
    stride_in: str = ""
    """``1x1`` or ``3x3``; empty where the network has no such choice."""
    normalisation: str = "as given"

    def ways(self, other: Candidate) -> frozenset[str]:
        """In which ways two candidates differ: ``color``, ``normalisation``, ``stride_in``."""
        pairs = {
            "color": (self.preprocess.color, other.preprocess.color),
            "normalisation": (self.normalisation, other.normalisation),
            "stride_in": (self.stride_in, other.stride_in),
        }
        return frozenset(way for way, (one, two) in pairs.items() if one != two)


_ZERO: Triple = (0.0, 0.0, 0.0)
_ONE: Triple = (1.0, 1.0, 1.0)
_HALF: Triple = (0.5, 0.5, 0.5)
_CAFFE_RGB: Triple = (123.68, 116.779, 103.939)
_KNOWN_NORMS: tuple[tuple[str, str, float, Triple, Triple], ...] = (
    (
        "ImageNet mean/std",
        "--mean 0.485,0.456,0.406 --std 0.229,0.224,0.225",
        1 / 255,
        Preprocess().mean,
        Preprocess().std,
    ),
    ("0..1 without mean/std", "--mean 0,0,0 --std 1,1,1", 1 / 255, _ZERO, _ONE),
    ("-1..1", "--mean 0.5,0.5,0.5 --std 0.5,0.5,0.5", 1 / 255, _HALF, _HALF),
    (
        "0..255 minus mean",
        "--mean 123.68,116.779,103.939 --std 1,1,1",
        1.0,
        _CAFFE_RGB,
        _ONE,
    ),
    ("0..255 as it is", "--mean 0,0,0 --std 1,1,1", 1.0, _ZERO, _ONE),
)


def candidates(given: Preprocess, stride_in: str) -> list[Candidate]:
    """Every combination of stride, colour order and normalisation, the given one first."""
    strides = [stride_in] + [s for s in ("3x3", "1x1") if stride_in and s != stride_in]
    found = [Candidate("as given", "", given, stride_in)]
    for stride in strides:
        for color in (given.color, *(c for c in Color if c is not given.color)):
            for norm in (None, *_KNOWN_NORMS):
                found += _candidate(given, stride_in, stride, color, norm)
    seen: set[tuple[str, str]] = set()
    unique = []
    for candidate in found:
        pre = candidate.preprocess
        factor, offset = pre.affine()
        key = (f"{pre.color}{factor.round(6)}{offset.round(4)}", candidate.stride_in)
        if key not in seen:
            seen.add(key)
            unique.append(candidate)
    return unique


def _candidate(
    given: Preprocess,
    given_stride: str,
    stride: str,
    color: Color,
    norm: tuple[str, str, float, Triple, Triple] | None,
) -> list[Candidate]:
    names: list[str] = []
    options: list[str] = []
    changes: dict[str, object] = {}
    if stride != given_stride:
        names.append(f"stride in {stride}")
        options.append(f"--stride-in {stride}")
    if color is not given.color:
        names.append(color.value.upper())
        options.append(f"--color {color.value}")
        changes["color"] = color
    mean, std = given.mean, given.std
    if norm is not None:
        name, option, scale, mean, std = norm
        names.append(name)
        changes["scale"] = scale
        if scale != given.scale:
            options.append(f"--scale {scale:.10g}")
        options.append(_in_order(option, mean, color))
        if color is Color.BGR:
            mean, std = mean[::-1], std[::-1]
        changes["mean"], changes["std"] = mean, std
    elif color is not given.color:  # the same normalisation of the same physical channel
        changes["mean"], changes["std"] = mean[::-1], std[::-1]
        if (mean, std) != (mean[::-1], std[::-1]):
            options.append(f"--mean {_comma(mean[::-1])} --std {_comma(std[::-1])}")
    if not names:
        return []
    preprocess = given.model_copy(update=changes)
    normalisation = "as given" if norm is None else norm[0]
    return [Candidate(", ".join(names), " ".join(options), preprocess, stride, normalisation)]


def _in_order(option: str, mean: Triple, color: Color) -> str:
    if color is Color.RGB or mean == mean[::-1]:
        return option
    words = option.split(" ")
    return " ".join(",".join(w.split(",")[::-1]) if "," in w else w for w in words)


def _comma(values: Triple) -> str:
    return ",".join(f"{v:g}" for v in values)
