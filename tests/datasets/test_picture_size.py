"""The size of a picture file is that of its pixels, whatever stands around them."""

import cv2
import numpy as np
import pytest

from edgeresnet.core.errors import UsageError
from edgeresnet.datasets.picture_size import picture_size

PIXELS = np.random.default_rng(0).integers(0, 256, (37, 53, 3), dtype=np.uint8)
EXIF = (  # APP1 with orientation 6: to be turned by a quarter
    b"\xff\xe1\x00\x22Exif\x00\x00II*\x00\x08\x00\x00\x00"
    b"\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00"
)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp", ".tiff"])
def test_it_is_width_and_height_of_every_form(tmp_path, suffix):
    path = tmp_path / f"picture{suffix}"
    assert cv2.imwrite(str(path), PIXELS)
    assert picture_size(path) == (53, 37)


def test_a_progressive_jpeg_behind_an_exif_turn_keeps_its_stored_size(tmp_path):
    _, data = cv2.imencode(".jpg", PIXELS, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])
    data = data.tobytes()
    path = tmp_path / "turned.jpg"
    path.write_bytes(data[:2] + EXIF + b"\xff\xff" + data[3:])
    assert picture_size(path) == (53, 37)


def test_the_pixels_of_a_jpeg_are_not_decoded(tmp_path):
    _, data = cv2.imencode(".jpg", PIXELS)
    path = tmp_path / "cut.jpg"
    data = data.tobytes()
    path.write_bytes(data[: data.index(b"\xff\xda")])
    assert picture_size(path) == (53, 37)


@pytest.mark.parametrize(
    "data", [b"", b"no picture", b"\xff\xd8", b"\xff\xd8\xff\xc0\x00", b"\x89PNG\r\n\x1a\n"]
)
def test_what_is_no_picture_is_an_error(tmp_path, data):
    path = tmp_path / "bad.jpg"
    path.write_bytes(data)
    with pytest.raises(UsageError, match=r"bad\.jpg"):
        picture_size(path)
    with pytest.raises(UsageError, match="cannot read picture"):
        picture_size(tmp_path / "absent.jpg")
