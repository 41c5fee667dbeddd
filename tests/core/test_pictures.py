"""Every common picture file becomes the same 8-bit BGR pixels, or is refused by name."""

import io
import os
import subprocess
import sys
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edgeresnet.core.errors import UsageError
from edgeresnet.core.pictures import decode_picture, is_picture, read_picture
from edgeresnet.datasets.procedural import draw_picture

LOSSY = 4.0
"""Mean difference in grey levels that JPEG or WebP at quality 92 stays below."""


@pytest.fixture(scope="module")
def drawn():
    return draw_picture(1, seed=1, size=(200, 160)).pixels


@pytest.fixture(scope="module")
def rgb(drawn):
    return Image.fromarray(np.ascontiguousarray(drawn[..., ::-1]))


@pytest.fixture(scope="module")
def grey(drawn):
    """The drawn picture in grey, in three equal channels."""
    return cv2.cvtColor(cv2.cvtColor(drawn, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)


def file_of(picture, kind, **options):
    data = io.BytesIO()
    picture.save(data, kind, **options)
    return data.getvalue()


def apart(data, expected):
    pixels = decode_picture(data, "picture")
    assert pixels.dtype == np.uint8
    assert pixels.shape == expected.shape
    assert pixels.flags.c_contiguous
    return np.abs(pixels.astype(int) - expected).mean()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_lossless_files_give_the_very_pixels(rgb, drawn, kind):
    assert apart(file_of(rgb, kind), drawn) == 0


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_lossy_files_give_nearly_those_pixels(rgb, drawn, kind):
    assert apart(file_of(rgb, kind, quality=92), drawn) < LOSSY


def test_a_cmyk_jpeg_gives_the_colours_of_its_rgb_twin(rgb, drawn):
    assert apart(file_of(rgb.convert("CMYK"), "JPEG", quality=92), drawn) < LOSSY


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_grey_becomes_three_equal_channels(rgb, grey, mode):
    assert apart(file_of(rgb.convert(mode), "PNG"), grey) < 1  # two formulas of luma


def test_alpha_is_left_out_not_blended(rgb, drawn):
    clear = rgb.convert("RGBA")
    clear.putalpha(Image.new("L", rgb.size, 40))
    assert apart(file_of(clear, "PNG"), drawn) == 0


def test_a_palette_is_looked_up(rgb):
    few = rgb.convert("P", palette=Image.Palette.ADAPTIVE, colors=16)
    expected = np.asarray(few.convert("RGB"))[..., ::-1]
    assert apart(file_of(few, "PNG"), expected) == 0


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_16_bits_are_scaled_to_8(drawn, suffix):
    data = cv2.imencode(suffix, drawn.astype(np.uint16) * 257)[1].tobytes()
    assert apart(data, drawn) == 0


def test_exif_orientation_is_ignored_as_in_training(rgb, drawn):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    assert apart(file_of(rgb, "JPEG", quality=92, exif=exif), drawn) < LOSSY


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "WEBP", "TIFF"])
@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.95])
def test_half_a_picture_is_none(rgb, tmp_path, kind, share):
    data = file_of(rgb, kind)
    file = tmp_path / "half.jpg"
    file.write_bytes(data[: max(1, int(len(data) * share))])
    with pytest.raises(UsageError, match=r"half\.jpg cannot be decoded"):
        read_picture(file)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "cannot be decoded"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "cannot be decoded"),
        (bytes(4096), "cannot be decoded"),
        (b"\xff\xd8\xff", "cannot be decoded"),
    ],
)
def test_what_is_no_picture_is_refused_by_name(tmp_path, data, says):
    file = tmp_path / "cat.jpg"
    file.write_bytes(data)
    with pytest.raises(UsageError, match=says) as caught:
        read_picture(file)
    assert str(file) in caught.value.what
    assert len(str(caught.value).splitlines()) <= 2


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damage_gives_a_picture_or_a_named_error_never_a_crash(rgb, data):
    kind = data.draw(st.sampled_from(["JPEG", "PNG", "BMP", "WEBP", "TIFF"]))
    whole = bytearray(file_of(rgb.resize((24, 18)), kind))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        pixels = decode_picture(bytes(whole), "damaged")
    except UsageError as error:
        assert "damaged" in error.what  # noqa: PT017
    else:
        assert pixels.ndim == 3
        assert pixels.dtype == np.uint8


def test_a_missing_file_and_a_folder_are_refused_by_name(tmp_path):
    for path in (tmp_path / "none.jpg", tmp_path):
        with pytest.raises(UsageError, match="cannot read picture") as caught:
            read_picture(path)
        assert str(path) in caught.value.what


def _bomb(side):
    """A PNG of ``side`` squared white pixels, a thousandth of that in bytes."""

    def chunk(kind, data):
        return (
            len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")
        )

    header = side.to_bytes(4, "big") * 2 + bytes([1, 0, 0, 0, 0])
    rows = zlib.compress((b"\0" + b"\xff" * ((side + 7) // 8)) * side, 9)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


_DECODE = """
import sys
from pathlib import Path
from edgeresnet.core.errors import UsageError
from edgeresnet.core.pictures import read_picture
try:
    print(read_picture(Path(sys.argv[1])).shape)
except UsageError as error:
    print(error)
"""


@pytest.mark.parametrize("first", ["", "import edgeresnet\n"])
def test_a_bomb_is_refused(tmp_path, first):
    """In a process of its own: the limit is read when OpenCV is first imported."""
    file = tmp_path / "bomb.png"
    file.write_bytes(_bomb(20_000))
    assert file.stat().st_size < 400_000  # decoded it would be 1.2 GB
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OPENCV_")}
    found = subprocess.run(
        [sys.executable, "-c", first + _DECODE, str(file)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=environment,
    )
    what, hint = found.stdout.splitlines()
    assert "bomb.png cannot be decoded" in what
    assert "100 million pixels" in hint


def _jpeg_bomb(side):
    """A JPEG of a few hundred bytes that says it has ``side`` squared pixels."""
    data = bytearray(cv2.imencode(".jpg", np.zeros((48, 64, 3), np.uint8))[1].tobytes())
    size = data.index(b"\xff\xc0") + 5
    data[size : size + 4] = side.to_bytes(2, "big") * 2
    return bytes(data)


_WHAT_IT_TOOK = """
import resource, time
from edgeresnet.core.pictures import decode_picture
data = Path(sys.argv[1]).read_bytes()
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before, begin = peak(), time.monotonic()
try:
    decode_picture(data, "bomb")
except UsageError:
    print(peak() - before, time.monotonic() - begin)
"""


@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_a_bomb_is_refused_before_it_takes_memory_or_time(tmp_path, kind):
    file = tmp_path / f"bomb.{kind}"
    file.write_bytes(_bomb(20_000) if kind == "png" else _jpeg_bomb(60_000))
    found = subprocess.run(
        [sys.executable, "-c", _DECODE + _WHAT_IT_TOOK, str(file)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    megabytes, seconds = map(float, found.stdout.splitlines()[-1].split())
    assert megabytes < 50
    assert seconds < 2  # half a second on a machine of one's own; decoding takes seven


def test_pictures_are_known_by_their_names(tmp_path):
    known = ["a.jpg", "B.JPEG", "c.Png", "d.bmp", "e.webp", "f.tif", "g.tiff", "h.ppm", "i.x.jpg"]
    others = ["a.txt", "jpg", ".jpg", ".hidden.jpg", "a.jpg.part", "a.json", ""]
    assert all(is_picture(tmp_path / name) for name in known)
    assert not any(is_picture(tmp_path / name) for name in others)
