import threading

import pytest

from edgeresnet.core.errors import UsageError
from edgeresnet.sources import SCHEMES, SourceUri, open_source, parse_source


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ("0", SourceUri("camera", "0")),
        ("2?width=640&fps=30", SourceUri("camera", "2", {"width": "640", "fps": "30"})),
        ("/dev/video0", SourceUri("camera", "/dev/video0")),
        ("/dev/v4l/by-id/usb-cam", SourceUri("camera", "/dev/v4l/by-id/usb-cam")),
        ("camera://1?fourcc=MJPG", SourceUri("camera", "1", {"fourcc": "MJPG"})),
        ("CAMERA://1", SourceUri("camera", "1")),
        ("clip.mp4", SourceUri("file", "clip.mp4")),
        ("clip.mp4?loop=1", SourceUri("file", "clip.mp4", {"loop": "1"})),
        ("file:///a/b.mp4?loop=1&fps=5", SourceUri("file", "/a/b.mp4", {"loop": "1", "fps": "5"})),
        ("img_?.png", SourceUri("file", "img_?.png")),
        ("what?/a=b.png", SourceUri("file", "what?/a=b.png")),
        ("img_?.png?start=2", SourceUri("file", "img_?.png", {"start": "2"})),
        ("synthetic://8x4?count=2", SourceUri("synthetic", "8x4", {"count": "2"})),
        ("synthetic://", SourceUri("synthetic", "")),
        ("file://0", SourceUri("file", "0")),
        ("csi://0?width=640", SourceUri("csi", "0", {"width": "640"})),
        ("rtsp://cam/a?channel=1", SourceUri("rtsp", "rtsp://cam/a?channel=1")),
        (
            "http://cam/v?fps=5&roi=0,0,2,2&pwd=a%20b&as=door",
            SourceUri("http", "http://cam/v?fps=5&pwd=a%20b", {"roi": "0,0,2,2", "as": "door"}),
        ),
    ],
)
def test_a_source_is_taken_apart(text, uri):
    assert parse_source(text) == uri


@pytest.mark.parametrize(
    ("text", "what", "hint"),
    [
        ("camra://0", "camra", "did you mean 'camera'"),
        ("xyz://0", "xyz", "known: camera"),
        ("camera:0", "not complete", "camera://PLACE"),
        ("synthetic://8x4?live", "without a value", "name=value"),
        ("synthetic://8x4?cuont=2", "cuont", "did you mean 'count'"),
        ("clip.mp4?lop=1", "lop", "did you mean 'loop'"),
        ("0?widht=3", "widht", "did you mean 'width'"),
    ],
)
def test_a_wrong_source_is_refused_before_it_is_opened(text, what, hint):
    with pytest.raises(UsageError, match=what) as caught:
        open_source(text)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    "text", ["ftp://user:geheim@host/x", "ftp://host?token=geheim", "camera://0?geheim"]
)
def test_what_may_be_a_secret_is_in_no_message(text):
    with pytest.raises(UsageError) as caught:
        open_source(text)
    assert "geheim" not in str(caught.value)


def test_what_may_be_a_secret_is_not_shown_by_repr():
    uri = parse_source("synthetic://geheim?count=geheim")
    assert "geheim" not in repr(uri)


def test_later_sources_of_a_run_have_names_of_their_own():
    with open_source("synthetic://") as first, open_source("synthetic://", index=1) as second:
        assert (first.name, second.name) == ("synthetic", "synthetic-1")
        assert next(iter(second)).source == "synthetic-1"


URLS = {"http", "https", "rtsp", "rtsps"}  # what is not ours there is the camera's


@pytest.mark.parametrize("scheme", sorted(SCHEMES.keys() - URLS))
def test_every_scheme_refuses_an_unknown_option(scheme):
    with pytest.raises(UsageError, match="unknown key 'nonsense'"):
        open_source(f"{scheme}://x?nonsense=1")


def test_a_source_stopped_before_it_began_gives_nothing():
    stop = threading.Event()
    stop.set()
    with open_source("synthetic://8x4?count=0", stop=stop) as source:
        assert list(source) == []
