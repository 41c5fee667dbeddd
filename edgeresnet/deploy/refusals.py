"""What ssh says when it does not connect, as advice."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from functools import partial
from itertools import takewhile
from typing import TypeAlias

from edgeresnet.core.errors import DeviceError, EdgeError, UsageError

_Known: TypeAlias = tuple[str, type[EdgeError], str, str]
_KNOWN: tuple[_Known, ...] = (
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
        r"REMOTE HOST IDENTIFICATION HAS CHANGED|Host key for \S+ has changed",
        DeviceError,
        "{host} has another key than it had",
        "if it was installed anew: ssh-keygen -R {known}; if not, someone may be in between",
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
_WEAK = re.compile(r"Host key verification failed|UNKNOWN port|^kex_exchange")
"""What says that it failed, and another line why."""
_SHOWN = 200


def refusal(host: str, words: str, lines: Sequence[str], *, port: int | None = None) -> EdgeError:
    """The error that ssh's last ``lines`` mean; ``words`` is how to call it by hand.

    The last line that is known counts: before it, a banner of the machine may say anything.
    """
    said = [line.strip(" @") for line in lines if line.strip(" @")]
    name = host.rpartition("@")[2]
    known = name if port is None else f"[{name}]:{port}"
    if changed := re.search(r"Host key for (\S+) has changed", "\n".join(said)):
        known = changed[1]  # an alias of ~/.ssh/config leads elsewhere
    names = {
        "host": host,
        "known": shlex.quote(known),
        "words": words,
        "copy_id": words.replace("ssh", "ssh-copy-id", 1),
    }
    if found := _meant(said):
        (_, family, what, hint), reason = found
        return family(f"{what.format(**names)}: {reason[:_SHOWN]}", hint=hint.format(**names))
    last = said[-1][:_SHOWN] if said else "ssh ended without a word"
    return DeviceError(f"cannot connect to {host}: {last}", hint=f"try it by hand: {words}")


def _meant(said: Sequence[str]) -> tuple[_Known, str] | None:
    """What is known of the last line that tells why, and the first of those like it above it."""
    why = [line for line in reversed(said) if not _WEAK.search(line)]
    that = [line for line in reversed(said) if _WEAK.search(line)]
    for upwards in (why, that):
        for at, line in enumerate(upwards):
            for known in _KNOWN:
                if re.search(known[0], line):
                    *_, first = takewhile(partial(re.search, known[0]), upwards[at:])
                    return known, first
    return None
