"""What ssh says when it does not connect, as advice."""

from __future__ import annotations

import re
from collections.abc import Sequence

from edgeresnet.core.errors import DeviceError, EdgeError, UsageError

_KNOWN: tuple[tuple[str, type[EdgeError], str, str], ...] = (
    (
        r"Could not resolve hostname|Name or service not known",
        UsageError,
        "no machine is known as {host}",
        "its name or address, or an alias of ~/.ssh/config; avahi finds NAME.local",
    ),
    (
        r"Connection refused",
        DeviceError,
        "{host} refuses ssh connections",
        "does its sshd run, and on this port? --to {host}:PORT",
    ),
    (
        r"timed out|Operation timed out",
        DeviceError,
        "{host} does not answer",
        "is it switched on, and on this network?",
    ),
    (
        r"No route to host|Network is unreachable|Host is down",
        DeviceError,
        "{host} cannot be reached",
        "is it switched on, and on this network?",
    ),
    (
        r"REMOTE HOST IDENTIFICATION HAS CHANGED",
        DeviceError,
        "{host} has another key than it had",
        "if it was installed anew: ssh-keygen -R {name}; if not, someone may be in between",
    ),
    (
        r"Host key verification failed|host key is known",
        DeviceError,
        "the key of {host} is not known here",
        "log in once by hand and compare the key: {words}",
    ),
    (
        r"Permission denied|Too many authentication failures|No supported authentication",
        DeviceError,
        "{host} does not let us in",
        "{copy_id}; a key with a passphrase needs ssh-agent",
    ),
    (
        r"command-line|[Bb]ad configuration option|Bad owner or permissions|unsupported option",
        UsageError,
        "ssh does not take its options",
        "--ssh-option takes what ssh -o does, for instance IdentityFile=~/.ssh/jetson",
    ),
    (
        r"Connection closed|Connection reset|Broken pipe|kex_exchange",
        DeviceError,
        "{host} closed the connection",
        "is this an ssh port, and are there too many connections? {words}",
    ),
)
_SHOWN = 200


def refusal(host: str, words: str, lines: Sequence[str]) -> EdgeError:
    """The error that ssh's last ``lines`` mean; ``words`` is how to call it by hand."""
    said = [line for line in lines if line.strip(" @")]
    last = said[-1][:_SHOWN] if said else "ssh ended without a word"
    names = {
        "host": host,
        "name": host.rpartition("@")[2],
        "words": words,
        "copy_id": words.replace("ssh", "ssh-copy-id", 1),
    }
    for pattern, family, what, hint in _KNOWN:
        found = [line for line in said if re.search(pattern, line)]
        if found:
            reason = found[0].strip(" @")[:_SHOWN]
            return family(f"{what.format(**names)}: {reason}", hint=hint.format(**names))
    return DeviceError(f"cannot connect to {host}: {last}", hint=f"try it by hand: {words}")
