import os

import pytest

from edgeresnet.core.errors import UsageError
from edgeresnet.sources import open_source


def refused(text):
    with pytest.raises(UsageError) as caught:
        open_source(str(text)).__enter__()
    return caught.value


def test_a_file_that_is_not_there_suggests_the_one_that_is(tmp_path):
    (tmp_path / "clip.mp4").touch()
    error = refused(tmp_path / "clib.mp4")
    assert "no such file" in error.what
    assert str(tmp_path / "clip.mp4") in error.hint


def test_a_file_that_is_not_there_tells_what_may_be_given(tmp_path):
    assert "camera://0" in refused(tmp_path / "no/where.mp4").hint
    assert refused("file://").what.endswith("no path")


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "clip.mp4").touch()
    assert "empty" in refused(tmp_path / "clip.mp4").what


@pytest.mark.parametrize("name", ["notes.txt", "notes.mp4", "notes.md", "notes.srt"])
def test_a_text_file_is_no_video(tmp_path, name):
    (tmp_path / name).write_text("1\n00:00:01,000 --> 00:00:02,000\nA line of text.\n" * 50)
    error = refused(tmp_path / name)
    assert "video" in error.what
    assert error.hint


def test_a_device_or_pipe_is_refused_without_waiting_for_it(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert "not a regular file" in refused(tmp_path / "pipe").what
    assert "not a regular file" in refused("/dev/null").what


@pytest.mark.parametrize("option", ["fps=0", "fps=x", "start=-1", "loop=maybe", "threads=-1"])
def test_an_option_out_of_range_is_refused_by_name(option):
    with pytest.raises(UsageError, match=option.partition("=")[0]):
        open_source(f"clip.mp4?{option}")
