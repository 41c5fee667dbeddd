"""A video file to BGR pixels, by PyAV."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from edgeresnet.core.errors import DeviceError, UsageError
from edgeresnet.sources.shots import Lost, Shot, Shots
from edgeresnet.sources.upright import upright

_TEXT_FORMATS = frozenset({"tty", "bin", "idf", "xbin", "adf"})
"""Demuxers that take any text for a film of a terminal."""
_READ_ERRORS = 8  # in a row, before the rest of the file is given up


@contextmanager
def open_video(path: Path, threads: int = 1) -> Generator[VideoStream]:
    """The first video stream of a file. ``threads`` decode; 0 is one for every core."""
    hint = "is it damaged, or no video? ffprobe tells more"
    try:  # "file:" and the list: neither a name nor a playlist can reach the network
        container = av.open(
            f"file:{path}", metadata_errors="replace", options={"protocol_whitelist": "file"}
        )
    except (av.FFmpegError, ValueError) as error:
        raise UsageError(f"video {path} cannot be opened: {_reason(error)}", hint=hint) from error
    with container:
        if container.format.name in _TEXT_FORMATS or not container.streams.video:
            raise UsageError(f"{path} holds no video", hint=hint)
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = threads
        yield stream


def frame_rate(stream: VideoStream) -> float | None:
    """Frames a second, as the file says."""
    rate = stream.average_rate or stream.guessed_rate
    return float(rate) if rate else None


def decode(path: Path, *, start: int, threads: int, stop: threading.Event) -> Shots:
    """Every frame from number ``start`` on, each in its own size, upright.

    Frames that the decoder calls corrupt, and packets it cannot decode, come as lost.
    """
    good = corrupt = skipped = 0
    convert = VideoReformatter()
    with open_video(path, threads) as stream:
        for frame in _frames(stream, path):
            if stop.is_set():
                return
            if skipped < start:
                skipped += 1
            elif frame is None or frame.is_corrupt:
                corrupt += 1
                yield Lost("corrupt", "" if corrupt > 1 else f"{path}: damaged frames left out")
            else:
                good += 1
                yield Shot(upright(frame, convert))
    if skipped and not good and not corrupt:
        raise UsageError(f"video {path}: start={start}, but it has only {skipped} frames")
    if not good:
        raise DeviceError(
            f"video {path}: not one frame could be decoded", hint="was the copy interrupted?"
        )


def _frames(stream: VideoStream, path: Path) -> Iterator[VideoFrame | None]:
    """Decoded frames; None for what could not be read or decoded."""
    container = stream.container
    assert isinstance(container, InputContainer)
    packets, errors = container.demux(stream), 0
    while errors < _READ_ERRORS:
        try:
            packet = next(packets, None)
        except OSError as error:
            raise DeviceError(f"video {path}: cannot read: {_reason(error)}") from error
        except av.FFmpegError:
            errors += 1
            packets = container.demux(stream)
            yield None
            continue
        if packet is None:
            return
        errors = 0
        try:
            frames = stream.decode(packet)
        except av.FFmpegError:
            yield None
            continue
        yield from frames


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", "") or type(error).__name__)
