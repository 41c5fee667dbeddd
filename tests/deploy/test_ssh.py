"""One connection: it is made or says why not, runs what it is told, and ends what it began."""

import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
from contextlib import suppress
from pathlib import Path

import pytest

from edgeresnet.core.errors import DeviceError, MissingBackendError, UsageError
from edgeresnet.deploy import ssh
from edgeresnet.deploy.address import Address
from edgeresnet.deploy.ssh import connected

WITHIN_S = 30
FOREVER = """
import sys
from pathlib import Path
from edgeresnet.deploy.address import parse_address
from edgeresnet.deploy.ssh import connected
pids, to, *options = sys.argv[1:]
with connected(parse_address(to, options=options)) as connection:
    try:
        connection.run(["sh", "-c", f"echo $$ > '{pids}'; exec sleep 600"], print, doing="it slept")
    finally:
        print("ended")
"""


def is_alive(pid):
    """Whether the process is there; one that nobody has waited for is not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def soon(condition):
    until = time.monotonic() + WITHIN_S
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.05)
    return False


def test_words_arrive_as_they_were_given(address):
    words = ["a b", "it's", '"', "$HOME", "`id`", "*", "", "-n", "\\", "é;&|", "~root"]
    with connected(address) as connection:
        done = connection.run(["printf", r"%s\n", *words], print, doing="it printed")
        script = connection.script('printf "%s\\n" "$@"', *words, doing="it printed")
    assert done.code == script.code == 0
    assert done.out.splitlines() == script.out.splitlines() == words


def test_the_home_of_the_other_machine_can_be_named(address, home):
    with connected(address) as connection:
        done = connection.run(["echo", "~/a b"], print, doing="it printed")
    assert done.out == f"{home}/a b\n"


def test_lines_are_told_as_they_come_and_cannot_command_a_terminal(address):
    told = []

    def tell(line):
        told.append((line, time.monotonic()))

    script = r"printf 'one\033[2J\n' >&2; sleep 1; echo two >&2; echo out; exit 7"
    with connected(address) as connection:
        done = connection.run(["sh", "-c", script], tell, doing="it talked")
    assert [line for line, _ in told] == ["one [2J", "two"]
    assert told[1][1] - told[0][1] > 0.5
    assert (done.code, done.out, done.errors) == (7, "out\n", ("one [2J", "two"))


@pytest.mark.parametrize("stream", ["", ">&2"])
def test_what_comes_without_end_is_not_kept(address, monkeypatch, stream):
    monkeypatch.setattr(ssh, "_LARGEST", 1 << 16)
    monkeypatch.setattr(ssh, "_LONGEST", 1 << 10)
    much = f"(head -c {24 << 20} /dev/zero | tr '\\0' x) {stream}"
    told = []
    tracemalloc.start()
    try:
        with connected(address) as connection, suppress(DeviceError):  # on its standard output
            connection.script(much, doing="it talked")
        with connected(address) as connection, suppress(DeviceError):
            connection.run(["sh", "-c", much], lambda line: told.append(len(line)), doing="it did")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20
    assert max(told, default=0) <= 1 << 10


def test_a_login_shell_that_talks_is_not_mistaken_for_the_command(address, home):
    (home / ".bashrc").write_text("echo welcome\n")
    with connected(address) as connection:
        done = connection.script("echo; echo @found it", doing="it printed")
    assert done.out.endswith("\n@found it\n")


def test_a_long_temporary_folder_with_spaces_is_no_obstacle(address, tmp_path, monkeypatch):
    folder = tmp_path / ("a b" * 20)
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    with connected(address) as connection:
        assert connection.script("echo here", doing="it printed").out == "here\n"


def test_a_script_that_takes_too_long_is_given_up(address):
    with connected(address) as connection, pytest.raises(DeviceError, match="did not answer"):
        connection.script("sleep 60", doing="it slept", limit_s=0.5)


def refused(address):
    with pytest.raises((DeviceError, UsageError)) as caught, connected(address):
        raise AssertionError("connected")
    return caught.value


def test_a_port_where_nobody_listens(server, sshd):
    error = refused(Address(f"{server.user}@{server.host}", sshd.free_port(), server.options))
    assert isinstance(error, DeviceError)
    assert "refuses ssh connections" in error.what
    assert "sshd" in error.hint


def test_a_host_key_that_is_not_known_is_never_taken(server, helpers, tmp_path):
    at, _ = helpers
    known = tmp_path / "known"
    error = refused(at(server, f"UserKnownHostsFile={known}"))
    assert isinstance(error, DeviceError)
    assert "key of" in error.what
    assert "is not known here" in error.what
    assert error.hint.startswith("log in once by hand and compare the key: ssh -o ")
    assert error.hint.endswith(f"{server.user}@{server.host}")
    assert not known.exists()


def test_a_host_key_that_has_changed(server, address, sshd, tmp_path):
    other = sshd.key(tmp_path / "other").with_suffix(".pub").read_text().split()[:2]
    server.known.write_text(f"[{server.host}]:{server.port} {' '.join(other)}\n")
    error = refused(address)
    assert isinstance(error, DeviceError)
    assert "has another key than it had" in error.what
    assert f"ssh-keygen -R '[{server.host}]:{server.port}'" in error.hint


def test_a_client_key_that_is_not_allowed(server, address, sshd, tmp_path):
    other = sshd.key(tmp_path / "other").with_suffix(".pub")
    server.folder.joinpath("authorized_keys").write_text(other.read_text())
    error = refused(address)
    assert isinstance(error, DeviceError)
    assert "does not let us in" in error.what
    assert "Permission denied" in error.what
    assert "ssh-copy-id" in error.hint


def test_a_name_that_nobody_has():
    error = refused(Address("no..such"))
    assert isinstance(error, UsageError)
    assert "no machine is known as no..such" in error.what


def test_an_option_that_ssh_does_not_know(server, helpers):
    at, _ = helpers
    error = refused(at(server, "StrictHostKeyChekcing=yes"))
    assert isinstance(error, UsageError)
    assert "stricthostkeychekcing" in error.what.lower()
    assert "--ssh-option" in error.hint


def hang_up(listener):
    """Take a connection and close it."""
    listener.accept()[0].close()


@pytest.mark.parametrize(("answers", "what"), [(False, "does not answer"), (True, "closed")])
def test_a_port_where_something_else_listens(answers, what):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        address = Address("127.0.0.1", listener.getsockname()[1], ("ConnectTimeout=1",))
        if answers:
            closing = threading.Thread(target=hang_up, args=(listener,))
            closing.start()
        error = refused(address)
        if answers:
            closing.join(WITHIN_S)
    assert isinstance(error, DeviceError)
    assert what in error.what


def test_without_ssh_there_is_advice(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingBackendError, match="ssh is not installed here"):
        connected(Address("jetson")).__enter__()


def test_a_server_that_allows_one_session_is_told_of(sshd, tmp_path, home, helpers):
    at, _ = helpers
    settings = ("MaxSessions 1",)
    with (
        sshd.Sshd(tmp_path / "sshd", home=home, settings=settings) as server,
        connected(at(server)) as connection,
        pytest.raises(DeviceError, match="no further session") as caught,
    ):
        connection.script("true", doing="nothing")
    assert "MaxSessions of its sshd_config has to be 3" in caught.value.hint


def test_a_connection_that_is_cut_is_told_with_what_was_done(server, address):
    talks = ["sh", "-c", "echo now >&2; sleep 600"]
    with (
        pytest.raises(DeviceError, match=r"was lost while it talked") as caught,
        connected(address) as connection,
    ):
        connection.run(talks, lambda _line: server.cut(), doing="it talked")
    assert "goes on where it stopped" in caught.value.hint


def test_a_lost_connection_is_not_made_again_behind_our_back(server, address):
    with connected(address) as connection:
        server.cut()
        with pytest.raises(DeviceError, match="was lost while it began"):
            connection.script("true", doing="it began")
    assert server.log().count("Accepted publickey") == 1


@pytest.fixture
def scratch():
    """A temporary folder whose name is short enough for a socket."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_however_we_end_what_we_began_there_ends(server, scratch, tmp_path, number):
    pids = tmp_path / "pid"
    command = [sys.executable, "-c", FOREVER, str(pids), server.to, *server.options]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TMPDIR": str(scratch)},  # a process that is killed tidies nothing
    ) as process:
        try:
            assert soon(lambda: pids.exists() and pids.read_text().strip())
            there = int(pids.read_text())
            assert is_alive(there)
            process.send_signal(number)
            process.wait(WITHIN_S)
        finally:
            process.kill()
    assert soon(lambda: not is_alive(there))
    assert soon(lambda: not server.sessions())  # the connection is gone as well


def test_what_ignores_being_told_to_end_is_killed(server, address, tmp_path):
    pids = tmp_path / "pid"
    pid = f"echo $$ > {shlex.quote(str(pids))}"
    stubborn = f"trap '' TERM; {pid}; echo up >&2; while :; do sleep 1; done"

    def interrupt(_line):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), connected(address) as connection:
        connection.run(["sh", "-c", stubborn], interrupt, doing="it was stubborn")
    assert soon(lambda: not is_alive(int(pids.read_text())))


def test_nothing_of_a_connection_is_left(address, scratch, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    with connected(address) as connection:
        connection.script("true", doing="nothing")
        assert list(scratch.iterdir())
    assert not list(scratch.iterdir())
