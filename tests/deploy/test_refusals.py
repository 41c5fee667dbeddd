"""Words of real ssh clients, and the advice they become."""

import pytest

from edgeresnet.core.errors import DeviceError, UsageError
from edgeresnet.deploy.refusals import refusal

CHANGED = """\
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!
Host key verification failed."""

NAMED = CHANGED.replace(
    "Host key v", "Host key for [10.0.0.7]:2222 has changed and so on.\nHost key v"
)
UNKNOWN = """\
No ED25519 host key is known for jetson and you have requested strict checking.
Host key verification failed."""
BANNER = """\
Keep out. Idle sessions are timed out, and Connection refused is what others get.
pi@jetson: Permission denied (publickey)."""
BEHIND = """\
channel 0: open failed: connect failed: Connection refused
kex_exchange_identification: Connection closed by remote host
Connection closed by UNKNOWN port 65535"""


@pytest.mark.parametrize(
    ("said", "family", "what", "hint"),
    [
        (
            "ssh: Could not resolve hostname jetson: Temporary failure in name resolution",
            UsageError,
            "no machine is known as pi@jetson",
            "~/.ssh/config",
        ),
        (
            "ssh: connect to host jetson port 22: Connection refused",
            DeviceError,
            "refuses ssh connections",
            "--to pi@jetson:PORT",
        ),
        (
            "ssh: connect to host jetson port 22: Connection timed out",
            DeviceError,
            "does not answer",
            "switched on",
        ),
        (
            "ssh: connect to host jetson port 22: No route to host",
            DeviceError,
            "cannot be reached",
            "switched on",
        ),
        (CHANGED, DeviceError, "another key than it had", "ssh-keygen -R jetson;"),
        (NAMED, DeviceError, "another key than it had", "ssh-keygen -R '[10.0.0.7]:2222';"),
        (UNKNOWN, DeviceError, "No ED25519 host key is known for", "ssh pi@jetson"),
        (BANNER, DeviceError, "does not let us in: pi@jetson: Permission denied", "ssh-copy-id"),
        (BEHIND, DeviceError, "refuses ssh connections: channel 0", "sshd"),
        ("Host key verification failed.", DeviceError, "is not known here", "ssh pi@jetson"),
        (
            "pi@jetson: Permission denied (publickey,password).",
            DeviceError,
            "does not let us in",
            "ssh-copy-id pi@jetson",
        ),
        (
            "Received disconnect from 10.0.0.7 port 22:2: Too many authentication failures",
            DeviceError,
            "does not let us in",
            "ssh-agent",
        ),
        (
            "Bad owner or permissions on /home/me/.ssh/config",
            UsageError,
            "does not take its options",
            "",
        ),
        (
            "kex_exchange_identification: read: Connection reset by peer",
            DeviceError,
            "closed the connection",
            "ssh pi@jetson",
        ),
        ("something new", DeviceError, "cannot connect to pi@jetson: something new", "by hand"),
        ("", DeviceError, "ssh ended without a word", "by hand"),
    ],
)
def test_what_ssh_said_becomes_advice(said, family, what, hint):
    error = refusal("pi@jetson", "ssh pi@jetson", said.splitlines())
    assert type(error) is family
    assert what in error.what
    assert hint in error.hint


def test_a_key_of_a_port_is_forgotten_by_that_port():
    error = refusal("pi@jetson", "ssh -p 2222 pi@jetson", CHANGED.splitlines(), port=2222)
    assert "ssh-keygen -R '[jetson]:2222';" in error.hint
