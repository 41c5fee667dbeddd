from itertools import islice

import cv2
import numpy as np
import pytest

from edgeresnet.core.errors import UsageError
from edgeresnet.sources import open_source


def draw(path, value=0, shape=(4, 6, 3)):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full(shape, value, np.uint8))
    return path


def read(text):
    with open_source(str(text)) as source:
        return list(source), source


@pytest.fixture
def folder(tmp_path):
    for number, name in enumerate(("b/2.png", "b/1.png", "a.png", "c.PNG")):
        draw(tmp_path / "album" / name, number)
    (tmp_path / "album/notes.txt").write_text("not a picture")
    draw(tmp_path / "album/.hidden/x.png")
    draw(tmp_path / "album/.y.png")
    return tmp_path / "album"


def test_a_folder_gives_its_pictures_in_order_below_it_too(folder):
    frames, source = read(folder)
    names = [str(folder / name) for name in ("a.png", "b/1.png", "b/2.png", "c.PNG")]
    assert [frame.name for frame in frames] == names
    assert [frame.pixels[0, 0, 0] for frame in frames] == [2, 1, 0, 3]
    assert (source.name, source.live, source.fps) == ("album", False, None)


def test_names_are_as_the_path_was_given(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    frames, _ = read("album")
    assert frames[0].name == "album/a.png"


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*.png", ["a.png"]),
        ("b/?.png", ["b/1.png", "b/2.png"]),
        ("**/*.png", ["a.png", "b/1.png", "b/2.png"]),
        ("b/[2-9].png", ["b/2.png"]),
    ],
)
def test_a_glob_gives_what_it_matches(folder, pattern, names):
    frames, source = read(folder / pattern)
    assert [frame.name for frame in frames] == [str(folder / name) for name in names]
    assert source.name in ("album", "b")


def test_a_name_that_looks_like_a_glob_is_a_file_when_it_is_there(tmp_path):
    frames, _ = read(draw(tmp_path / "img[1].png"))
    assert len(frames) == 1


def test_one_picture_is_a_source_of_one_frame(tmp_path):
    path = draw(tmp_path / "cat.png", 7)
    frames, source = read(path)
    assert [(frame.name, frame.pixels[0, 0, 0]) for frame in frames] == [(str(path), 7)]
    assert source.name == "cat.png"


@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 4)])
def test_grey_and_transparent_pictures_become_bgr(tmp_path, shape):
    frames, _ = read(draw(tmp_path / "x.png", 9, shape))
    assert frames[0].pixels.shape == (4, 6, 3)


def test_unreadable_pictures_are_left_out_counted_and_named(folder, caplog):
    (folder / "b/0.jpg").write_bytes(b"")
    (folder / "b/9.jpg").write_text("<html>not found</html>")
    frames, source = read(folder)
    assert [frame.index for frame in frames] == [0, 2, 3, 5]
    assert source.dropped == {"unreadable": 2}
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert "0.jpg" in said[0]
    assert "9.jpg" in said[1]


def test_a_batch_of_a_thousand_with_every_kind_of_damage_is_read_to_its_end(tmp_path, caplog):
    good = cv2.imencode(".png", np.full((4, 6, 3), 7, np.uint8))[1].tobytes()
    flipped = good[:20] + bytes(byte ^ 0x55 for byte in good[20:30]) + good[30:]
    bad = (b"", good[:30], b"<html>not found</html>", flipped)
    for number in range(1000):
        data = bad[number // 10 % 4] if number % 10 == 3 else good
        (tmp_path / f"{number:03}.png").write_bytes(data)
    frames, source = read(tmp_path)
    assert [frame.index for frame in frames] == [n for n in range(1000) if n % 10 != 3]
    assert source.dropped == {"unreadable": 100}
    assert len(caplog.records) == 100


def test_pictures_without_one_readable_are_an_error(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"x")
    (tmp_path / "b.jpg").write_bytes(b"y")
    with pytest.raises(UsageError, match="not one of 2 pictures"):
        read(tmp_path)


def test_one_unreadable_picture_is_an_error_at_once(tmp_path):
    (tmp_path / "cat.jpg").write_text("<html>")
    with pytest.raises(UsageError, match=r"cat\.jpg cannot be decoded"):
        open_source(str(tmp_path / "cat.jpg")).__enter__()


def test_a_loop_goes_round_and_counts_on_but_names_the_bad_once(tmp_path, caplog):
    draw(tmp_path / "a.png", 1)
    (tmp_path / "b.png").write_bytes(b"x")
    with open_source(f"{tmp_path}?loop=1") as source:
        frames = list(islice(source, 3))
    assert [frame.index for frame in frames] == [0, 2, 4]
    assert source.dropped == {"unreadable": 2}
    assert len(caplog.records) == 1


def test_start_leaves_out_the_first_pictures(folder):
    frames, _ = read(f"{folder}?start=3")
    assert [frame.name[-5:] for frame in frames] == ["c.PNG"]
    assert frames[0].index == 0


def test_a_start_beyond_the_end_is_refused(folder):
    with pytest.raises(UsageError, match="start=4, but it has 4 pictures"):
        read(f"{folder}?start=4")


def test_a_rate_makes_pictures_live(folder):
    frames, source = read(f"{folder}?fps=1000")
    assert (len(frames), source.live, source.fps) == (4, True, 1000)


def test_a_folder_without_pictures_says_what_a_picture_is(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(UsageError, match="no pictures in") as caught:
        read(tmp_path)
    assert ".jpg" in caught.value.hint


@pytest.mark.parametrize(
    ("pattern", "what"), [("x*.png", "nothing matches"), ("*.txt", "1 matches, none a picture")]
)
def test_a_glob_without_pictures_is_refused(folder, pattern, what):
    with pytest.raises(UsageError, match=what):
        read(folder / pattern)
