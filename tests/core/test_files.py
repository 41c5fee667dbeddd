"""Files appear whole or not at all, and what stands in the way is said before the work."""

import errno
import hashlib
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeresnet.core.errors import DeviceError, UsageError
from edgeresnet.core.files import (
    check_output,
    disk_error,
    existing_file,
    is_there,
    sha256_file,
    whole_file,
    whole_folder,
    write_text,
)


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


@given(data=st.binary(max_size=300))
def test_a_digest_is_of_the_bytes(tmp_path_factory, data):
    file = tmp_path_factory.getbasetemp() / "digest.bin"
    file.write_bytes(data)
    assert sha256_file(file) == hashlib.sha256(data).hexdigest()


def test_a_file_is_there_whatever_a_name_asks_for(tmp_path):
    (tmp_path / "file").touch()
    assert is_there(tmp_path / "file")
    for name in ("", "other", "file/below", "x" * 300, "nul\0"):
        assert not is_there(tmp_path / name)


def test_a_digest_is_read_in_pieces(tmp_path):
    file = tmp_path / "large"
    data = bytes(range(256)) * 10_000
    file.write_bytes(data)
    assert sha256_file(file) == hashlib.sha256(data).hexdigest()


def test_a_readable_file_is_given_back(tmp_path):
    file = tmp_path / "file"
    file.write_text("x")
    assert existing_file(file, "weights") == file


def test_a_file_that_is_not_there_a_folder_and_an_empty_one_are_told_apart(tmp_path):
    empty = tmp_path / "empty"
    empty.touch()
    for path, says in (
        (tmp_path / "none", "no such file"),
        (tmp_path, "is a folder"),
        (empty, "is empty"),
        (empty / "below", "cannot read"),
        (tmp_path / ("n" * 300), "cannot read"),
    ):
        with pytest.raises(UsageError, match=says) as caught:
            existing_file(path, "weights")
        assert caught.value.what.startswith("weights: ")
        assert str(path) in caught.value.what


def test_a_pipe_is_refused_at_once_not_waited_for(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(UsageError, match="a pipe or a device"):
        existing_file(pipe, "weights")


def test_a_file_that_may_not_be_read_says_so(tmp_path, monkeypatch):
    file = tmp_path / "secret"
    file.write_text("x")
    if os.geteuid():
        file.chmod(0)
    else:  # root may read everything

        def refuse(_path, *_args, **_kwargs):
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(UsageError, match="no permission to read"):
        existing_file(file, "weights")


def test_an_output_that_exists_is_refused_unless_forced(tmp_path):
    file = tmp_path / "out"
    assert check_output(file, force=False) == file
    file.touch()
    with pytest.raises(UsageError, match="output exists") as caught:
        check_output(file, force=False)
    assert "--force" in caught.value.hint
    assert check_output(file, force=True) == file


def test_a_folder_is_never_overwritten_by_a_file(tmp_path):
    with pytest.raises(UsageError, match="is a folder"):
        check_output(tmp_path, force=True)
    assert check_output(tmp_path, force=True, folder=True) == tmp_path


def test_an_output_in_no_folder_says_how_to_make_it(tmp_path):
    (tmp_path / "file").touch()
    for parent in (tmp_path / "none", tmp_path / "file"):
        with pytest.raises(UsageError, match="no such folder") as caught:
            check_output(parent / "out", force=False)
        assert caught.value.hint == f"mkdir -p {parent}"
    with pytest.raises(UsageError, match="cannot write"):
        check_output(tmp_path / ("n" * 300) / "out", force=False)


def test_an_unwritable_folder_is_refused_before_the_work(tmp_path, monkeypatch):
    folder = tmp_path / "locked"
    folder.mkdir()
    if os.geteuid():
        folder.chmod(0o500)
    else:  # root may write everywhere
        monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    with pytest.raises(UsageError, match="no permission to write"):
        check_output(folder / "out", force=False)


def test_a_file_appears_when_its_block_ends_well(tmp_path):
    out = tmp_path / "out"
    with whole_file(out) as temporary:
        temporary.write_text("half")
        assert not out.exists()
        assert temporary.parent == tmp_path  # a rename from elsewhere would not be atomic
        temporary.write_text("whole")
    assert out.read_text() == "whole"
    assert names_in(tmp_path) == ["out"]


class Interrupted(BaseException):
    """Stands for Ctrl-C."""


@pytest.mark.parametrize("error", [ValueError, Interrupted])
def test_a_failed_block_leaves_nothing_and_the_old_file_whole(tmp_path, error):
    out = tmp_path / "out"
    out.write_text("old")

    def fail(new):
        with whole_file(new) as temporary:
            temporary.write_text("half")
            raise error

    for new in (out, tmp_path / "new"):
        with pytest.raises(error):
            fail(new)
    assert names_in(tmp_path) == ["out"]
    assert out.read_text() == "old"


@pytest.mark.parametrize(
    ("number", "says"),
    [(errno.ENOSPC, "disk full"), (errno.EDQUOT, "disk full"), (errno.EIO, "cannot write")],
)
def test_a_failing_disk_is_a_device_error_and_leaves_nothing(tmp_path, number, says):
    out = tmp_path / "out"

    def fail():
        with whole_file(out) as temporary:
            temporary.write_text("half")
            raise OSError(number, os.strerror(number))

    with pytest.raises(DeviceError, match=says) as caught:
        fail()
    assert str(out) in caught.value.what
    assert names_in(tmp_path) == []


def test_a_full_disk_at_the_last_moment_leaves_nothing(tmp_path, monkeypatch):
    def full(_handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DeviceError, match="disk full"):
        write_text(tmp_path / "out", "text")
    with pytest.raises(DeviceError, match="disk full"), whole_folder(tmp_path / "dir", force=False):
        pass
    assert names_in(tmp_path) == []


def test_everybody_the_mask_allows_may_read_the_file(tmp_path):
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "out", "text")
        with whole_folder(tmp_path / "dir", force=False):
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "dir").stat().st_mode) == 0o750


def test_a_pipe_is_written_never_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_text(pipe, "text")
        assert os.read(reader, 100) == b"text"
    finally:
        os.close(reader)
    assert pipe.is_fifo()


def test_a_folder_appears_when_its_block_ends_well(tmp_path):
    out = tmp_path / "out"
    with whole_folder(out, force=False) as temporary:
        (temporary / "a").write_text("1")
        (temporary / "below").mkdir()
        (temporary / "below/b").write_text("2")
        assert not out.exists()
    assert names_in(tmp_path) == ["out"]
    assert (out / "below/b").read_text() == "2"


def test_a_folder_replaces_another_only_when_forced(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "old").touch()

    def write(*, force):
        with whole_folder(out, force=force) as temporary:
            (temporary / "new").touch()

    with pytest.raises(DeviceError, match="cannot write"):
        write(force=False)
    assert names_in(out) == ["old"]
    write(force=True)
    assert names_in(out) == ["new"]
    assert names_in(tmp_path) == ["out"]


def test_a_failed_folder_leaves_nothing_and_the_old_one_whole(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "old").touch()

    def fail():
        with whole_folder(out, force=True) as temporary:
            (temporary / "new").touch()
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011  the very one that was raised
        fail()
    assert names_in(out) == ["old"]
    assert names_in(tmp_path) == ["out"]


def test_a_folder_that_cannot_take_its_place_leaves_the_old_one_there(tmp_path, monkeypatch):
    out = tmp_path / "out"
    out.mkdir()
    (out / "old").touch()
    rename = Path.replace

    def fail_in_place(source, to):
        if Path(to) == out and not (source / "old").exists():
            raise OSError(errno.EIO, "Input/output error")
        return rename(source, to)

    monkeypatch.setattr(Path, "replace", fail_in_place)
    with pytest.raises(DeviceError), whole_folder(out, force=True):
        pass
    assert names_in(out) == ["old"]
    assert names_in(tmp_path) == ["out"]


def test_a_disk_error_names_the_file_and_the_reason():
    error = disk_error(OSError(errno.EROFS, "Read-only file system"), Path("/a/b"))
    assert error.what == "cannot write /a/b: Read-only file system"
    assert error.exit_code == 6
