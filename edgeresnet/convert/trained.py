"""How a network was trained to see: what someone said, what the probe found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from edgeresnet.core.errors import ParityError, UsageError
from edgeresnet.core.preprocess import Color, Preprocess
from edgeresnet.match.candidates import Candidate
from edgeresnet.match.probe import TrainingMatch


@dataclass(frozen=True)
class Trained:
    """How the network was trained to see, as far as someone said so; the rest is defaults."""

    preprocess: Preprocess
    stride_in: str | None
    said: frozenset[str]
    """Which of ``color``, ``normalisation`` and ``stride_in`` were said: by option or file."""


_NORMALISATION = ("scale", "mean", "std")


def said_settings(
    in_file: Preprocess | None,
    stride_in_file: str | None,
    overrides: Mapping[str, Any],
    stride_in: str | None,
) -> Trained:
    """Defaults, under what the file says, under what the options say."""
    base = in_file or Preprocess()
    said = {"color", "normalisation"} if in_file is not None else set()
    stride_in = stride_in or stride_in_file
    if "color" in overrides:
        said.add("color")
    if any(key in overrides for key in _NORMALISATION):
        said.add("normalisation")
    if stride_in is not None:
        said.add("stride_in")
    changes = dict(overrides)
    size = changes.get("size")
    if size is not None and "resize" not in changes:
        changes["resize"] = resize_for(size)
    if changes.get("color") == Color.BGR and base.color is Color.RGB:  # same physical channels
        changes.setdefault("mean", base.mean[::-1])
        changes.setdefault("std", base.std[::-1])
    try:
        preprocess = Preprocess.model_validate({**base.model_dump(), **changes})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        message = f"{where} {first['msg'].removeprefix('Value error, ')}".strip()
        raise UsageError(f"preprocessing: {message}") from error
    return Trained(preprocess, stride_in, frozenset(said))


def resize_for(size: tuple[int, int]) -> int:
    """The shorter side that keeps torchvision's proportion of 256 to 224."""
    return round(max(size) * 256 / 224)


def with_size(preprocess: Preprocess, size: tuple[int, int]) -> Preprocess:
    """``preprocess`` for another input size."""
    if size == preprocess.size:
        return preprocess
    return preprocess.model_copy(update={"size": size, "resize": resize_for(size)})


def refuse_what_was_said(
    best: Candidate, trained: Trained, match: TrainingMatch, *, force: bool
) -> None:
    """ParityError when the probe clearly finds another setting than the one that was said."""
    given = match.verdicts[0].candidate
    wrong = best.ways(given) & trained.said
    if wrong and not force:
        raise ParityError(
            f"the preprocessing or stride given is not the training's: with {best.name!r} the "
            f"BatchNorm statistics fit clearly better (divergence {match.best.divergence:.4f} "
            f"instead of {match.verdicts[0].divergence:.4f} on {match.pictures} pictures)",
            hint=f"pass {best.option}, or leave the option out and let --images decide",
        )
