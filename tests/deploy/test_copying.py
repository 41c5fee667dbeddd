"""A copy is whole under its name or not there, whatever happens on the way."""

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from edgeresnet.core.bundle import read_bundle
from edgeresnet.core.errors import DeviceError, UsageError
from edgeresnet.deploy.copying import look, take_its_place
from edgeresnet.deploy.ssh import connected

SYSTEM = os.defpath


def everything(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("here", [True, False])
def test_without_rsync_at_both_ends_tar_copies(
    sshd, sent, bundle, home, tmp_path, tools, helpers, monkeypatch, no_benchmark, here
):
    if here:
        monkeypatch.setattr("edgeresnet.deploy.copying._rsync_here", str)
        path = SYSTEM
    else:
        path = tools("tar")
    with sshd.Sshd(tmp_path / "sshd2", home=home, path=path) as server:
        report, _ = sent(bundle, helpers[0](server))
    there = home / "edgeresnet"
    assert report.copied_by == "tar"
    assert names(there) == [bundle.name]
    assert everything(there / bundle.name) == everything(bundle)
    modes = {file.stat().st_mode & 0o777 for file in (there / bundle.name).iterdir()}
    assert modes <= {0o644, 0o600}


@pytest.mark.parametrize("force", [False, True])
def test_what_is_no_bundle_is_never_replaced(sent, bundle, home, force):
    thesis = home / "edgeresnet" / bundle.name / "thesis.tex"
    thesis.parent.mkdir(parents=True)
    thesis.touch()
    with pytest.raises(UsageError, match="is no bundle: not overwritten"):
        sent(bundle, force=force)
    assert names(thesis.parent) == ["thesis.tex"]


def test_a_copy_that_is_damaged_on_the_way_never_gets_the_name(
    sshd, sent, bundle, home, tmp_path, tools, helpers
):
    spoil = '/bin/tar "$@" && printf x >> golden.npz'
    path = tools(tar=spoil)
    with (
        sshd.Sshd(tmp_path / "sshd2", home=home, path=path) as server,
        pytest.raises(DeviceError, match="is damaged: not what was sent"),
    ):
        sent(bundle, helpers[0](server))
    assert names(home / "edgeresnet") == []


@pytest.mark.parametrize("tool", ["rsync", "tar"])
def test_a_copy_that_is_cut_leaves_nothing_under_the_name_and_can_go_on(
    request, sent, bundle, home, server, monkeypatch, no_benchmark, tool
):
    if tool == "rsync":
        request.getfixturevalue("rsync")
    else:
        monkeypatch.setattr("edgeresnet.deploy.copying._rsync_here", str)
    cut = []

    def progress(what, done, total):
        if what == "copy" and not cut:
            cut.append(done)
            server.cut()

    with pytest.raises(DeviceError, match="was lost while") as caught:
        sent(bundle, progress=progress)
    assert cut
    assert "goes on where it stopped" in caught.value.hint
    assert bundle.name not in names(home / "edgeresnet")
    report, _ = sent(bundle)
    assert names(home / "edgeresnet") == [bundle.name]
    assert read_bundle(Path(report.folder)).digest == read_bundle(bundle).digest


def half_copied(bundle, home):
    """Its unfinished copy there, every file of the right size."""
    part = home / "edgeresnet" / f".{bundle.name}.{read_bundle(bundle).digest[:16]}.part"
    shutil.copytree(bundle, part)
    return part


def test_bytes_that_a_power_loss_took_are_sent_again(rsync, sent, bundle, home, no_benchmark):
    model = half_copied(bundle, home) / read_bundle(bundle).manifest.artifact.entry
    times = model.stat()
    model.write_bytes(bytes(times.st_size))
    os.utime(model, ns=(times.st_atime_ns, times.st_mtime_ns))
    report, _ = sent(bundle)
    assert report.copied_by == "rsync"
    assert read_bundle(Path(report.folder)).digest == read_bundle(bundle).digest


def test_of_unfinished_copies_only_those_of_this_name_are_dropped(sent, bundle, home, no_benchmark):
    short = shutil.copytree(bundle, bundle.with_name("model"))
    others = [".model.bundle.0123456789abcdef.part", ".model.v2.0123456789abcdef.part.old"]
    own = [".model.0123456789abcdef.part", ".model.0123456789abcdef.part.old"]
    for name in (*others, *own):
        (home / "edgeresnet" / name).mkdir(parents=True)
    sent(short)
    assert names(home / "edgeresnet") == sorted((*others, "model"))


@pytest.mark.parametrize("knows", [True, False])
def test_what_comes_to_have_the_name_at_the_last_moment_stays_as_it_is(
    sshd, bundle, home, tmp_path, tools, helpers, knows
):
    """Between the look at the name and the move; ``knows`` is whether its mv knows -T."""
    there = home / "edgeresnet" / bundle.name
    meanwhile = f"mkdir -p {shlex.quote(str(there))} && touch {shlex.quote(str(there))}/theirs"
    old = "" if knows else '[ "$1" = -T ] && exit 1\n'
    path = tools("touch", mv=f'{meanwhile}\n{old}exec /bin/mv "$@"')
    with (
        sshd.Sshd(tmp_path / "sshd2", home=home, path=path) as server,
        connected(helpers[0](server)) as connection,
    ):
        place = look(connection, read_bundle(bundle), "edgeresnet")
        part = half_copied(bundle, home)
        with pytest.raises(DeviceError, match="has come to be there"):
            take_its_place(connection, place)
    assert names(there) == ["theirs"]
    assert names(part) == names(bundle)


@pytest.mark.parametrize("said", ["none", "9" * 5000])
def test_sizes_there_that_are_no_numbers_are_no_obstacle(
    sshd, bundle, home, tmp_path, tools, helpers, said
):
    half_copied(bundle, home)
    path = tools(du=f"echo {said}", df=f"echo none 1 0 {said} 0% /")
    with (
        sshd.Sshd(tmp_path / "sshd2", home=home, path=path) as server,
        connected(helpers[0](server)) as connection,
    ):
        place = look(connection, read_bundle(bundle), "edgeresnet")
    assert place.begun
    assert place.free_kb > 0


@pytest.fixture
def small_disk(tmp_path):
    """A file system of one megabyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)],
        capture_output=True,
        check=False,
    )
    if made.returncode:
        pytest.skip("may not mount a file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_that_is_too_small_is_told_before_the_copying(sent, bundle, small_disk):
    with pytest.raises(DeviceError, match=r"on .*: 1\.0 MB are free in .*small, the bundle needs"):
        sent(bundle, folder=str(small_disk))
    assert names(small_disk) == []


@pytest.mark.parametrize("more", [("rsync",), ()])
def test_a_disk_that_fills_up_meanwhile(
    sshd, sent, bundle, home, tmp_path, small_disk, tools, helpers, more
):
    if "rsync" in more and shutil.which("rsync") is None:
        pytest.skip("rsync is not installed")
    path = tools("tar", *more, df="echo none 9999999 0 9999999 0% /")
    with (
        sshd.Sshd(tmp_path / "sshd2", home=home, path=path) as server,
        pytest.raises(DeviceError, match="disk full while writing"),
    ):
        sent(bundle, helpers[0](server), folder=str(small_disk))
    assert bundle.name not in names(small_disk)


@pytest.mark.parametrize("folder", ["file", "/proc/none"])
def test_a_folder_that_cannot_be_made(sent, bundle, home, folder):
    (home / "file").touch()
    with pytest.raises(DeviceError, match=f"cannot use {folder}") as caught:
        sent(bundle, folder=folder)
    assert "--remote-dir" in caught.value.hint


@pytest.mark.parametrize("folder", ["", "a\nb", "a\x1b[2J"])
def test_a_path_with_control_characters_is_refused(sent, bundle, folder):
    with pytest.raises(UsageError, match="control characters"):
        sent(bundle, folder=folder)
