import io
import os
import sys

import pytest

from edgeresnet.core.errors import DeviceError, UsageError
from edgeresnet.sinks.lines import Lines


def test_lines_are_in_the_file_before_it_is_closed(tmp_path):
    lines = Lines(str(tmp_path / "out"))
    lines.write("one")
    assert (tmp_path / "out").read_text() == "one\n"
    lines.write("two")
    assert (tmp_path / "out").read_text() == "one\ntwo\n"
    lines.close()
    lines.close()


def test_lines_are_added_to_those_that_are_there(tmp_path):
    (tmp_path / "out").write_text("old\n")
    lines = Lines(str(tmp_path / "out"))
    assert not lines.empty
    assert lines.first() == "old"
    lines.write("new")
    lines.close()
    assert (tmp_path / "out").read_text() == "old\nnew\n"


def test_a_torn_last_line_does_not_swallow_the_next(tmp_path):
    (tmp_path / "out").write_text('{"torn":')
    lines = Lines(str(tmp_path / "out"))
    assert (tmp_path / "out").read_text() == '{"torn":'
    lines.write("{}")
    lines.write("{}")
    lines.close()
    assert (tmp_path / "out").read_text() == '{"torn":\n{}\n{}\n'


def test_a_full_disk_is_a_device_error_and_closing_does_not_repeat_it():
    lines = Lines("/dev/full")
    with pytest.raises(DeviceError, match="disk full while writing /dev/full"):
        lines.write("x")
    lines.close()


def test_a_disk_that_fails_at_close_is_a_device_error(tmp_path):
    class Late(io.BytesIO):
        def close(self):
            super().close()
            raise OSError(28, "No space left on device")

    lines = Lines(str(tmp_path / "out"))
    lines._file.close()
    lines._file = Late()
    with pytest.raises(DeviceError, match="disk full"):
        lines.close()
    lines.close()


@pytest.mark.parametrize("place", ["no/such/out", "file/out"])
def test_a_folder_that_is_not_there_is_refused(tmp_path, place):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="no such folder"):
        Lines(str(tmp_path / place))


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(UsageError, match="is a folder"):
        Lines(str(tmp_path))


def test_the_standard_output_is_written_line_by_line_and_left_open(capsysbinary):
    lines = Lines("-")
    lines.write("naïve \udce9")
    assert capsysbinary.readouterr().out == "naïve \\udce9\n".encode()
    lines.close()
    assert not sys.stdout.closed


def test_a_reader_who_left_is_a_device_error(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    lines = Lines(str(tmp_path / "pipe"))
    os.close(reader)
    with pytest.raises(DeviceError, match="pipe: nobody reads"):
        lines.write("x")
    lines.close()


def test_a_reader_of_the_standard_output_who_left_had_enough(monkeypatch):
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb", buffering=0) as pipe:
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(pipe, write_through=True))
        with pytest.raises(BrokenPipeError):
            Lines("-").write("x")
        sys.stdout.detach()
