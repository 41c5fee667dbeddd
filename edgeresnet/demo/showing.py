"""Films and sheets of pictures, for people to look at."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from edgeresnet.core.pictures import read_picture
from edgeresnet.core.tensors import Pixels
from edgeresnet.flow.stream import Policy
from edgeresnet.run.model import open_model
from edgeresnet.sinks.draw import annotate

GAP = 8
"""Pixels between two films."""
_DARK = 24
_TILE, _COLUMNS, _ROWS = 320, 4, 2
_BT601, _LIMITED = 6, 1  # as in the run's films


def write_film(path: Path, pictures: Iterable[Pixels], size: tuple[int, int], fps: int) -> None:
    """Encode ``pictures`` of an even width and height, which are ``size``, in pixels."""
    codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
    options = {"preset": "veryfast", "crf": "20"} if codec == "libx264" else {"q:v": "3"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(fps), options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.colorspace, stream.codec_context.color_range = _BT601, _LIMITED
        for pixels in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="bgr24")))
        container.mux(stream.encode(None))


def write_beside(path: Path, left: Path, right: Path, size: tuple[int, int], fps: int) -> None:
    """One film of two of the same ``size`` and length."""
    gap = np.full((size[1], GAP, 3), _DARK, np.uint8)
    with closing(_frames(left)) as one, closing(_frames(right)) as other:
        beside = (np.hstack([a, gap, b]) for a, b in zip(one, other, strict=True))
        write_film(path, beside, (2 * size[0] + GAP, size[1]), fps)


def _frames(film: Path) -> Generator[Pixels]:
    with av.open(str(film)) as container:
        for frame in container.decode(video=0):
            yield np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)


def sheet(bundle: Path, images: Path, policy: Policy) -> Pixels:
    """Pictures from all over the folder ``images``, each with what ``bundle`` says of it."""
    files = sorted(images.rglob("*.jpg"))
    places = np.linspace(0, len(files) - 1, _COLUMNS * _ROWS).astype(int)
    tiles: list[Pixels] = []
    with open_model(bundle, top=policy.top, threshold=policy.threshold) as model:
        for place in places.tolist():
            pixels = read_picture(files[place])
            large = cv2.resize(pixels, (_TILE, _TILE), interpolation=cv2.INTER_CUBIC)
            tiles.append(annotate(large, model.predict(large)))  # type: ignore[arg-type]
    rows = [np.hstack(tiles[i : i + _COLUMNS]) for i in range(0, len(tiles), _COLUMNS)]
    return np.vstack(rows)
