"""``video:PATH.mp4``: the annotated film, whole once the sink is closed."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import ExitStack, closing, contextmanager, suppress
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.container import OutputContainer
from av.video.stream import VideoStream

from edgeresnet.core.errors import DeviceError, EdgeError, UsageError
from edgeresnet.core.files import check_output, disk_error, whole_file
from edgeresnet.core.frames import Frame
from edgeresnet.core.predictions import Prediction
from edgeresnet.core.schema import nearest
from edgeresnet.core.tensors import Pixels
from edgeresnet.sinks import Terms
from edgeresnet.sinks.draw import annotate

FORMATS = {".mkv": "matroska", ".mov": "mov", ".mp4": "mp4"}
"""Suffix to FFmpeg's name of the container."""

_CLOCK = Fraction(1, 1000)  # of films whose rate nobody knows: the frames' own times
_GREY = 114
_BT601, _LIMITED = 6, 1  # what the encoder is fed; untagged, players guess by size

_log = logging.getLogger("edgeresnet")


class VideoSink:
    """Encodes as it goes. No frame, no file.

    With a known rate, frame ``n`` is shown at ``n / fps``, so dropped frames leave a gap; else
    at its time of capture. The film has the size of the first frame, made even.
    """

    def __init__(self, path: Path, fps: float | None) -> None:
        self._path = path
        self._tick = 1 / Fraction(fps).limit_denominator(1001) if fps else _CLOCK
        self._indexed = fps is not None
        self._whole = ExitStack()
        self._container: OutputContainer | None = None
        self._stream: VideoStream
        self._first: Frame
        self._pts = -1

    def put(self, frame: Frame, prediction: Prediction) -> None:
        """Draw and encode one frame; all must come from one source."""
        pixels = annotate(frame.pixels, prediction)
        try:
            if self._container is None:
                self._begin(frame)
            if frame.source != self._first.source:
                raise UsageError(
                    f"video {self._path} takes one source, got {self._first.source} and "
                    f"{frame.source}",
                    hint="images:FOLDER takes many",
                )
            picture = av.VideoFrame.from_ndarray(
                _fitted(pixels, self._stream.width, self._stream.height), format="bgr24"
            )
            self._pts = max(self._pts + 1, self._time(frame))
            picture.pts, picture.time_base = self._pts, self._tick
            self._write(picture)
        except (av.FFmpegError, OSError) as error:
            self._give_up(error)
            raise self._error(error) from error

    def _time(self, frame: Frame) -> int:
        if self._indexed:
            return frame.index - self._first.index
        return (frame.captured_ns - self._first.captured_ns) // 1_000_000

    def _begin(self, frame: Frame) -> None:
        codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
        if codec == "mpeg4":
            _log.warning("%s: FFmpeg has no H.264 encoder here, writing MPEG-4", self._path)
        temporary = self._whole.enter_context(whole_file(self._path))
        container = av.open(str(temporary), "w", format=FORMATS[self._path.suffix.lower()])
        rate = 1 / self._tick if self._indexed else 30
        options = {"preset": "veryfast", "crf": "21"} if codec == "libx264" else {"q:v": "3"}
        stream = container.add_stream(codec, rate=Fraction(rate), options=options)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = frame.width + frame.width % 2, frame.height + frame.height % 2
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = self._tick
        stream.codec_context.colorspace, stream.codec_context.color_range = _BT601, _LIMITED
        self._container, self._stream, self._first = container, stream, frame

    def _write(self, picture: av.VideoFrame | None) -> None:
        assert self._container is not None
        self._container.mux(self._stream.encode(picture))

    def close(self) -> None:
        """Finish the film and put it in its place; a second time does nothing."""
        if self._container is None:
            return
        try:
            self._write(None)
            self._container.close()
            self._container = None
            self._whole.close()
        except (av.FFmpegError, OSError) as error:
            self._give_up(error)
            raise self._error(error) from error

    def _give_up(self, error: Exception) -> None:
        """Leave no half film behind."""
        container, self._container = self._container, None
        if container is not None:
            with suppress(av.FFmpegError, OSError):
                container.close()
        with suppress(EdgeError):  # said by whoever called
            self._whole.__exit__(type(error), error, error.__traceback__)

    def _error(self, error: Exception) -> EdgeError:
        if isinstance(error, OSError):
            return disk_error(error, self._path)
        return DeviceError(f"cannot encode {self._path}: {error}")


def _fitted(pixels: Pixels, width: int, height: int) -> Pixels:
    """``pixels`` in the film's size: an odd side grows by one, another size is letterboxed."""
    missing = height - pixels.shape[0], width - pixels.shape[1]
    if missing == (0, 0):
        return pixels
    if {*missing} <= {0, 1}:
        edge = cv2.BORDER_REPLICATE
        return cv2.copyMakeBorder(pixels, 0, missing[0], 0, missing[1], edge)  # type: ignore[return-value]
    scale = min(height / pixels.shape[0], width / pixels.shape[1])
    rows, columns = (max(1, int(side * scale)) for side in pixels.shape[:2])
    film = np.full((height, width, 3), _GREY, np.uint8)
    top, left = (height - rows) // 2, (width - columns) // 2
    film[top : top + rows, left : left + columns] = cv2.resize(
        pixels, (columns, rows), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    )
    return film


@contextmanager
def open_place(place: str, terms: Terms) -> Generator[VideoSink]:
    """Write the film ``place``; what is there already is replaced only with ``force``."""
    path = Path(place)
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"no film format for {place!r}", hint=nearest(path.suffix, FORMATS))
    if path.exists() and not terms.force:
        raise UsageError(f"output exists: {path}", hint="name another file, or pass --force")
    with closing(VideoSink(check_output(path, force=True), terms.fps)) as sink:
        yield sink
