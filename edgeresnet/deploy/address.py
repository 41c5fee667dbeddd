"""Where another machine is, as a person names it and as ssh takes it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from edgeresnet.core.errors import UsageError

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""What a terminal would obey."""


@dataclass(frozen=True)
class Address:
    """Where a machine is, as ssh takes it."""

    host: str
    """``user@host``, or an alias of ``~/.ssh/config``."""
    port: int | None = None
    options: tuple[str, ...] = ()
    """For ``ssh -o``; they come first and win."""

    def __post_init__(self) -> None:
        name = self.host.rpartition("@")[2]
        if self.host.startswith("-") or not name or name.startswith("-"):
            raise UsageError(
                f"not the name of a machine: {self.host!r}", hint="--to user@host, as for ssh"
            )
        if re.search(r"\s", self.host) or CONTROL.search(self.host):
            raise UsageError(f"a machine's name has no spaces: {self.host!r}")
        if self.port is not None and not 0 < self.port < 1 << 16:
            raise UsageError(f"no such port: {self.port}")

    @property
    def words(self) -> str:
        """How a person calls it: ``ssh -p 22022 user@host``."""
        options = (word for option in self.options for word in ("-o", option))
        port = ("-p", str(self.port)) if self.port is not None else ()
        return shlex.join(["ssh", *options, *port, self.host])

    def scp(self, file: str) -> str:
        """What copies ``file`` to the home there."""
        user, at, name = self.host.rpartition("@")
        options = (word for option in self.options for word in ("-o", option))
        port = ("-P", str(self.port)) if self.port is not None else ()
        place = f"{user}{at}[{name}]:" if ":" in name else f"{self.host}:"
        return shlex.join(["scp", *options, *port, file, place])


def parse_address(text: str, port: int | None = None, options: Sequence[str] = ()) -> Address:
    """The address in ``[user@]host[:port]``; a colon in an IPv6 address needs ``[brackets]``."""
    user, at, place = text.rpartition("@")
    match = re.fullmatch(r"(\[[^\]]+\]|[^:\[\]]+):(\d+)", place)
    if match:
        if port is not None:
            raise UsageError(f"two ports: {text} and --port {port}")
        place, port = match[1], int(match[2])
    if place.startswith("[") and place.endswith("]"):
        place = place[1:-1]
    return Address(f"{user}{at}{place}", port, tuple(options))
