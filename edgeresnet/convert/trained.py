"""How a network was trained to see: what someone said, what the probe found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from edgeresnet.core.errors import ParityError, UsageError
from edgeresnet.core.preprocess import Color, Crop, Preprocess
from edgeresnet.match.candidates import Candidate
from edgeresnet.match.probe import TrainingMatch


@dataclass(frozen=True)
class Trained:
    """How the network was trained to see, as far as someone said so; the rest is defaults."""

    preprocess: Preprocess
    stride_in: str | None
    said: frozenset[str]
    """Which of ``color``, ``normalisation`` and ``stride_in`` were said: by option or file."""

    def __post_init__(self) -> None:
        if self.stride_in not in (None, "", "1x1", "3x3"):
            raise UsageError(f"--stride-in: {self.stride_in!r} is neither 1x1 nor 3x3")


_NORMALISATION = ("scale", "mean", "std")


def said_settings(
    in_file: Preprocess | None,
    stride_in_file: str | None,
    overrides: Mapping[str, Any],
    stride_in: str | None,
    fixed_size: tuple[int, int] | None = None,
    default: Preprocess | None = None,
) -> Trained:
    """Defaults, under what the file says, under what the options say.

    ``fixed_size`` is the height and width that an ONNX file takes and no other.
    """
    base, changes = in_file or default or Preprocess(), dict(overrides)
    size = changes.get("size")
    if isinstance(size, int):
        size = changes["size"] = (size, size)
    if fixed_size is not None:
        if size not in (None, fixed_size, list(fixed_size)):
            wanted = "x".join(map(str, fixed_size))
            raise UsageError(f"--size: the file takes {wanted} and no other size")
        base = base.model_copy(update={"size": fixed_size, "resize": resize_for(fixed_size)})
    said = {"color", "normalisation"} if in_file is not None else set()
    stride_in = stride_in or stride_in_file
    if "color" in overrides:
        said.add("color")
    if any(key in overrides for key in _NORMALISATION):
        said.add("normalisation")
    if stride_in is not None:
        said.add("stride_in")
    boxed = changes.get("crop", base.crop) == Crop.LETTERBOX
    if isinstance(size, (list, tuple)) and len(size) == 2 and "resize" not in changes and not boxed:
        changes["resize"] = resize_for((size[0], size[1]))
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


def contradicts(best: Candidate, trained: Trained, match: TrainingMatch) -> bool:
    """Whether the probe's finding differs from something that was said, by option or file."""
    return bool(best.ways(match.verdicts[0].candidate) & trained.said)


class MismatchError(ParityError):
    """The probe's verdict against what was said; ``match`` is its table."""

    match: TrainingMatch


def mismatch_error(match: TrainingMatch) -> MismatchError:
    """The error for settings that are clearly not the training's."""
    best, given = match.best, match.verdicts[0]
    error = MismatchError(
        f"the preprocessing or stride given is not the training's: with {best.candidate.name!r} "
        f"the BatchNorm statistics fit clearly better (divergence {best.divergence:.4f} instead "
        f"of {given.divergence:.4f} on {match.pictures} pictures)",
        hint=f"pass {best.candidate.option}, or leave the option out and let --images decide",
    )
    error.match = match
    return error
