"""Thousands of views to judge on, drawn by seed from a few hundred pictures and some videos."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edgeresnet.core.errors import UsageError
from edgeresnet.core.pictures import read_picture
from edgeresnet.core.preprocess import Preprocess, fit
from edgeresnet.core.tensors import Pixels

FRAMES = 100
"""At most so many frames of one video, evenly spaced: neighbours show the same."""
_AREA = (0.35, 1.0)
_ASPECT = (3 / 4, 4 / 3)
_SCALE = (0.5, 1.0)


@dataclass(frozen=True)
class Views:
    """Fitted pictures without labels."""

    pixels: Pixels
    """n x height x width x 3, BGR."""
    sources: npt.NDArray[np.int64]
    """The picture or video that each view was made from: views of one source are alike, so an
    error bar counts sources, not views."""

    def __post_init__(self) -> None:
        if self.pixels.ndim != 4 or len(self.pixels) != len(self.sources):
            raise ValueError(f"{self.pixels.shape} views of {self.sources.shape} sources")


def random_view(picture: Pixels, preprocess: Preprocess, rng: np.random.Generator) -> Pixels:
    """A crop of 35 to 100 % of the area, shrunk by up to two, perhaps mirrored, then fitted."""
    height, width = picture.shape[:2]
    area = rng.uniform(*_AREA) * height * width
    aspect = math.exp(rng.uniform(math.log(_ASPECT[0]), math.log(_ASPECT[1])))
    wide = max(1, min(width, int(math.sqrt(area * aspect))))
    high = max(1, min(height, int(math.sqrt(area / aspect))))
    left, top = rng.integers(0, width - wide + 1), rng.integers(0, height - high + 1)
    view = picture[top : top + high, left : left + wide]
    scale = rng.uniform(*_SCALE)
    size = (max(1, round(wide * scale)), max(1, round(high * scale)))
    view = cv2.resize(view, size, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    if rng.random() < 0.5:
        view = view[:, ::-1]
    return fit(np.ascontiguousarray(view), preprocess)


def frames_of(video: Path) -> list[Pixels]:
    """At most ``FRAMES`` frames of a video, evenly spaced."""
    capture = cv2.VideoCapture(str(video))
    try:
        step = max(1, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) // FRAMES)
        frames: list[Pixels] = []
        for number in range(step * FRAMES):
            if not capture.grab():
                break
            if number % step == 0:
                frames.append(capture.retrieve()[1])  # type: ignore[arg-type]
    finally:
        capture.release()
    if not frames:
        raise UsageError(f"--video: no frames in {video}")
    return frames


def write_views(
    out: Path,
    preprocess: Preprocess,
    *,
    cropped: Sequence[Path],
    whole: Sequence[Path],
    videos: Sequence[Path],
    count: int,
    seed: int,
) -> Views:
    """At least ``count`` views in the ``.npy`` file ``out``, mapped rather than held in memory.

    Each frame of ``videos`` and each picture of ``whole`` gives one; the rest are random views of
    the pictures ``cropped``, at least one each. The same seed draws the same views.
    """
    frames = [[fit(frame, preprocess) for frame in frames_of(video)] for video in videos]
    given = sum(map(len, frames)) + len(whole)
    total = max(count, given + len(cropped))
    shape = (total, *preprocess.size, 3)
    pixels = np.lib.format.open_memmap(out, mode="w+", dtype=np.uint8, shape=shape)
    sources = np.empty(total, np.int64)

    def drawn() -> Iterator[tuple[int, Pixels]]:
        for source, shots in enumerate(frames):
            yield from ((source, shot) for shot in shots)
        for source, path in enumerate(whole, start=len(frames)):
            yield source, fit(read_picture(path), preprocess)
        share, more = divmod(total - given, max(1, len(cropped)))
        for i, path in enumerate(cropped):
            rng = np.random.default_rng((seed, i))
            picture = read_picture(path)
            for _ in range(share + (i < more)):
                yield len(frames) + len(whole) + i, random_view(picture, preprocess, rng)

    for i, (source, view) in enumerate(drawn()):
        pixels[i], sources[i] = view, source
    pixels.flush()
    return Views(pixels, sources)
