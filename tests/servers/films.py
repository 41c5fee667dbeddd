"""Small films for servers to send: whole, of changing form, with strange times, and damaged."""

import io

import av
import cv2
import numpy as np

FPS = 25
PACKET = 188
_HEAD = 12 * PACKET
"""Left whole by the damage: without its tables nothing of a stream can be found."""
CLOCK = 90_000
"""Ticks a second of the times in a transport stream, which are of 33 bits."""
WRAP = 1 << 33


def picture(index, size=(96, 64), noise=0):
    """A picture (BGR) with a bar that moves and a grey that tells ``index``; size as (w, h)."""
    width, height = size
    pixels = np.full((height, width, 3), index * 7 % 256, np.uint8)
    if noise:
        drawn = np.random.default_rng(index).integers(0, noise, pixels.shape, np.uint8)
        pixels = cv2.add(pixels // 2, drawn)
    left = index * 8 % width
    pixels[:, left : left + max(4, width // 16)] = 255
    return pixels


def jpeg(pixels, quality=80):
    """The file of a picture."""
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def film(
    frames=50, size=(96, 64), *, codec="libx264", layout="yuv420p", fps=FPS, noise=0, tables=0
):
    """A film in memory: a key frame every 10, and none that refer to later ones.

    ``noise`` up to 128 makes it larger and harder to mend; ``tables`` is the version of those that
    say what is in the stream: where it changes, a receiver has to look again.
    """
    out = io.BytesIO()
    options = {"tables_version": str(tables)}
    with av.open(out, "w", format="mpegts", options=options) as container:
        stream = container.add_stream(codec, rate=fps)
        stream.width, stream.height, stream.pix_fmt = *size, layout
        stream.codec_context.gop_size, stream.codec_context.max_b_frames = 10, 0
        if codec == "libx264":
            stream.options = {"preset": "ultrafast", "tune": "zerolatency"}
        for index in range(frames):
            shown = av.VideoFrame.from_ndarray(picture(index, size, noise), format="bgr24")
            container.mux(stream.encode(shown))
        container.mux(stream.encode())
    return out.getvalue()


def restamped(data, times):
    """The transport stream with other times; ``times(index)`` in ticks of 90 kHz, or None.

    By hand, for a muxer refuses such times: PTS and DTS in the packet headers are written over.
    """
    changed, index = bytearray(data), 0
    for start in range(0, len(changed), PACKET):
        if not changed[start + 1] & 0x40:  # no unit starts here
            continue
        body = start + 4
        if changed[start + 3] & 0x20:
            body += 1 + changed[body]
        if changed[body : body + 4] != b"\0\0\1\xe0":  # the first video stream
            continue
        flags, ticks = changed[body + 7] >> 6, times(index)
        index += 1
        if ticks is None:
            changed[body + 7] &= 0x3F  # the header says there is none; what is left is stuffing
            changed[body + 9 : body + 9 + changed[body + 8]] = b"\xff" * changed[body + 8]
            continue
        for place in range(2 if flags == 3 else 1):
            at = body + 9 + 5 * place
            changed[at : at + 5] = _stamp(changed[at] >> 4, ticks % WRAP)
    assert index
    return bytes(changed)


def _stamp(mark, ticks):
    return bytes(
        (
            mark << 4 | (ticks >> 29 & 0xE) | 1,
            ticks >> 22 & 0xFF,
            (ticks >> 14 & 0xFE) | 1,
            ticks >> 7 & 0xFF,
            (ticks << 1 & 0xFE) | 1,
        )
    )


def flipped(data, share, seed=1):
    """That share of the bytes is wrong."""
    rng = np.random.default_rng(seed)
    changed = np.frombuffer(data, np.uint8).copy()
    places = rng.integers(_HEAD, len(changed), max(1, int(len(changed) * share)))
    changed[places] ^= rng.integers(1, 256, len(places), np.uint8)
    return changed.tobytes()


def lossy(data, share=0.08, seed=1):
    """That share of the transport packets is missing."""
    rng = np.random.default_rng(seed)
    packets = [data[at : at + PACKET] for at in range(0, len(data), PACKET)]
    kept = (p for n, p in enumerate(packets) if n * PACKET < _HEAD or rng.random() >= share)
    return b"".join(kept)
