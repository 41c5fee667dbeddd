"""RTSP and HTTP streams, by PyAV: each frame in its own size, corrupt ones said, not given."""

from __future__ import annotations

import time
from collections.abc import Iterator
from urllib.parse import quote, urlsplit, urlunsplit

import av
from av.codec.context import Flags
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from edgeresnet.sources.fault import Fault
from edgeresnet.sources.grab import Ended, Grabbed, Opened, Order
from edgeresnet.sources.grab.diagnosis import diagnosed
from edgeresnet.sources.shots import Lost, Shot
from edgeresnet.sources.upright import upright

_WHITELIST = "rtsp,rtsps,rtp,srtp,udp,tcp,tls,http,https,httpproxy,crypto"
"""What a stream may lead FFmpeg to: the network, never this machine's files."""
_READ_S = 30.0
"""PyAV's own limit; the parent, which knows the rate, gives up earlier."""
_WAITING = 64
_JUMP_S = -10.0


def connect(order: Order) -> Grabbed:
    """``place`` is a URL without credentials; ``options`` may have ``transport``."""
    convert = VideoReformatter()
    with _open(order) as container:
        if not container.streams.video:
            raise Fault("no-video", f"{order.place} has no video in it")
        stream = container.streams.video[0]
        stream.thread_type = "SLICE"  # threads for frames would keep some of them back
        stream.codec_context.flags |= Flags.low_delay
        yield Opened(_rate(container, stream))
        lasts = order.place.startswith("http") and bool(container.duration)
        pace = _Pace() if lasts else None
        for frame, came_ns in _frames(container, stream):
            if frame is None or frame.is_corrupt:
                yield Lost("corrupt")
                continue
            captured_ns = came_ns if pace is None else pace.wait(frame)
            yield Shot(upright(frame, convert), captured_ns=captured_ns)
        if lasts:
            yield Ended()


def _rate(container: InputContainer, stream: VideoStream) -> float | None:
    """Frames a second; None for MJPEG, of which FFmpeg says 25 whatever it is."""
    if container.format.name in ("mjpeg", "mpjpeg"):
        return None
    rate = stream.guessed_rate or stream.average_rate
    return float(rate) if rate and rate < 1000 else None


def _open(order: Order) -> InputContainer:
    options = {
        "fflags": "nobuffer",
        "analyzeduration": "10000",  # in µs; left alone it listens for 5 s and more
        "protocol_whitelist": _WHITELIST,
        "rtsp_transport": str(order.options.get("transport", "tcp")),
        "max_delay": "500000",
        "user_agent": "edgeresnet",
        "allowed_media_types": "video",
    }
    if not order.place.startswith("rtsp"):
        del options["rtsp_transport"], options["max_delay"], options["allowed_media_types"]
    try:
        return av.open(
            _with_credentials(order),
            options=options,
            metadata_errors="replace",
            timeout=(order.open_s, _READ_S),
        )
    except (av.FFmpegError, OSError, ValueError) as error:
        raise diagnosed(error, order.place, order.open_s / 4) from None


def _with_credentials(order: Order) -> str:
    if order.secret is None:
        return order.place
    user, _, password = order.secret.reveal().partition(":")
    parts = urlsplit(order.place)
    both = f"{quote(user, safe='')}:{quote(password, safe='')}"
    return urlunsplit(parts._replace(netloc=f"{both}@{parts.netloc}"))


def _frames(
    container: InputContainer, stream: VideoStream
) -> Iterator[tuple[VideoFrame | None, int]]:
    """Decoded frames with the time at which their packet came; None for what cannot be decoded."""
    came: dict[int, int] = {}
    for packet in _packets(container, stream):
        now = time.monotonic_ns()
        if packet is not None and packet.pts is not None:
            came[packet.pts] = now
            while len(came) > _WAITING:
                del came[next(iter(came))]
        try:
            frames = stream.decode(packet)
        except av.FFmpegError:
            yield None, now
            continue
        for frame in frames:
            yield frame, came.pop(frame.pts, now) if frame.pts is not None else now
        if packet is None:
            return


def _packets(
    container: InputContainer, stream: VideoStream
) -> Iterator[Packet[VideoStream] | None]:
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.error.InvalidDataError:
            packets = container.demux(stream)
            continue
        except IndexError:  # PyAV, when a stream was added on the way
            return
        except (av.FFmpegError, OSError) as error:
            said = getattr(error, "strerror", "") or type(error).__name__
            raise Fault("closed", f"the stream broke off: {said}") from None
        if packet is None:
            return
        yield packet


class _Pace:
    """Plays a film that came over HTTP as fast as it is meant to be."""

    def __init__(self) -> None:
        self._start: float | None = None

    def wait(self, frame: VideoFrame) -> int:
        """Until the frame is due; the time it is then, in ns."""
        now = time.monotonic()
        if frame.time is not None:
            late_s = now - frame.time - (now if self._start is None else self._start)
            if self._start is None or late_s < _JUMP_S:
                self._start = now - frame.time
            elif late_s < 0:
                time.sleep(-late_s)
        return time.monotonic_ns()
