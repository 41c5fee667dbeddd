"""A machine at the other end of ssh that has edgeresnet: found, called, its errors raised here."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from edgeresnet import __version__
from edgeresnet.core.errors import (
    DeviceError,
    EdgeError,
    GateError,
    MissingBackendError,
    ModelError,
    ParityError,
    ProfileError,
    UsageError,
)
from edgeresnet.deploy.address import Address
from edgeresnet.deploy.ssh import Connection, Done, connected, plain

FAMILIES = (
    UsageError,
    ProfileError,
    MissingBackendError,
    ModelError,
    ParityError,
    GateError,
    DeviceError,
)
_OLDEST = (3, 10)
_SIGNALS = range(129, 160)
"""Exit codes that a shell gives for the signals 1 to 31."""
_SHOWN = 300
_FIND = r"""
try() {
  told=$("$@" --version 2>/dev/null </dev/null) || return 1
  case $told in *"edgeresnet, version "*) ;; *) return 1 ;; esac
  printf '\n@version %s\n' "${told##*edgeresnet, version }"
  for word in "$@"; do printf '@word %s\n' "$word"; done
  exit 0
}
if [ $# -gt 0 ]; then try "$@"; exit 0; fi
found=$(command -v edgeresnet) && try "$found"
try "$HOME/.venv/bin/edgeresnet"
try "$HOME/edgeresnet/.venv/bin/edgeresnet"
try python3 -m edgeresnet
python3 -c 'import sys; print("\n@python %d.%d" % sys.version_info[:2])' </dev/null
exit 0
"""
"""Says which edgeresnet answers there; lines that begin otherwise are the login shell's."""


@dataclass(frozen=True)
class Device:
    """A machine that we are connected to, and how edgeresnet is called there."""

    connection: Connection
    command: tuple[str, ...]
    version: str
    tell: Callable[[str], None]
    """Hears what is worth a line, and edgeresnet's own lines from there."""

    @property
    def host(self) -> str:
        """The machine, as the user named it."""
        return self.connection.host

    @property
    def notes(self) -> tuple[str, ...]:
        """What the versions of the two ends mean for each other."""
        if self.version.split(".")[:2] == __version__.split(".")[:2]:
            return ()
        return (f"{self.host} has edgeresnet {self.version}, here it is {__version__}",)

    def call(self, *arguments: str, needs: Sequence[str] = ()) -> dict[str, Any]:
        """The object that an edgeresnet command with ``--json`` gives there, with these keys.

        Its errors are raised as they would be here, with the machine named.
        """
        what = f"edgeresnet {arguments[0]}"
        done = self.connection.run(
            [*self.command, *arguments, "--json"], self._relay, doing=f"{what} ran there"
        )
        found = _object(done.out)
        if done.code or found is None:
            raise self._error(what, done, found)
        if missing := [key for key in needs if key not in found]:
            raise self.strange(arguments[0], missing[0])
        return found

    def strange(self, command: str, absent: str) -> EdgeError:
        """The error of a command whose answer has another shape than ours."""
        return EdgeError(
            f"on {self.host}: edgeresnet {command} of version {self.version} tells no {absent}",
            hint=f"edgeresnet {__version__} is here: install the same there",
        )

    def _relay(self, line: str) -> None:
        if not line.startswith(("error: ", "hint: ")):  # those come in the object, too
            self.tell(f"{self.host}: {line}")

    def _error(self, what: str, done: Done, found: dict[str, Any] | None) -> EdgeError:
        told = (found or {}).get("error")
        if isinstance(told, dict):
            families = {family.__name__: family for family in FAMILIES}
            family = families.get(str(told.get("kind")), EdgeError)
            hint = self._pip(str(told.get("hint") or ""))
            return family(
                f"on {self.host}: {told.get('what')}",
                hint=f"on {self.host}: {hint}" if hint else "",
            )
        by_hand = f"{self.connection.address.words} {shlex.quote(shlex.join(self.command))} doctor"
        if done.code in _SIGNALS:
            return DeviceError(
                f"on {self.host}: {what} was ended by signal {done.code - 128}",
                hint="9 is what the system does when memory runs out: close other programs there",
            )
        last = done.errors[-1][:_SHOWN] if done.errors else "it said nothing"
        return EdgeError(
            f"on {self.host}: {what} ended with exit code {done.code}: {last}", hint=by_hand
        )

    def _pip(self, hint: str) -> str:
        """Advice on installing, with the Python that edgeresnet has there."""
        folder, _, name = self.command[0].rpartition("/")
        python = self.command[0] if name.startswith("python") else f"{folder}/python"
        known = name.startswith("python") or folder.endswith("venv/bin")
        found = known and hint.startswith("pip install")
        return f"{shlex.quote(python)} -m {hint}" if found else hint


def _object(text: str) -> dict[str, Any] | None:
    """The last line that is a JSON object, made harmless; login shells may write before it."""
    for line in reversed(text.splitlines()):
        if line.startswith("{"):
            try:
                found = _harmless(json.loads(line))
            except (ValueError, RecursionError):
                continue
            return found if isinstance(found, dict) else None
    return None


def _harmless(found: object) -> object:
    """The same JSON, and nothing in it that a terminal would obey."""
    if isinstance(found, str):
        return plain(found)
    if isinstance(found, list):
        return [_harmless(one) for one in found]
    if isinstance(found, dict):
        return {plain(key): _harmless(value) for key, value in found.items()}
    return found


def extra_of(backend: str, options: Mapping[str, object]) -> str:
    """The extra of edgeresnet that brings a runtime; empty where it comes with the system."""
    if backend != "tensorrt":
        return backend
    return "tensorrt-rtx" if options.get("module") == "tensorrt_rtx" else ""


def marked(done: Done) -> list[tuple[str, str]]:
    """Name and value from the lines ``@name value`` of a script."""
    lines = (line[1:].partition(" ") for line in done.out.splitlines() if line.startswith("@"))
    return [(name, plain(value)) for name, _, value in lines]


@contextmanager
def reached(
    address: Address,
    *,
    command: Sequence[str] = (),
    extra: str = "",
    tell: Callable[[str], None],
) -> Generator[Device]:
    """Connect to a machine and find edgeresnet there.

    ``command`` is how it is called, else the usual places are looked at; ``extra`` is the one that
    the advice on installing names.
    """
    with connected(address) as connection:
        done = connection.script(_FIND, *command, doing="edgeresnet was looked for")
        found = marked(done)
        versions = [value.split()[0] for name, value in found if name == "version" and value]
        words = tuple(value for name, value in found if name == "word")
        if not versions or not words:
            python = next((value for name, value in found if name == "python"), "")
            raise _absent(address, command, extra, python)
        device = Device(connection, words, versions[0], tell)
        tell(f"{address.host}: edgeresnet {device.version}, called as {shlex.join(words)}")
        for note in device.notes:
            tell(note)
        yield device


def _absent(
    address: Address, command: Sequence[str], extra: str, python: str
) -> MissingBackendError:
    if command:
        return MissingBackendError(
            f"on {address.host}: {shlex.join(command)} does not answer as edgeresnet does",
            hint=f"{address.words} {shlex.quote(shlex.join([*command, '--version']))}",
        )
    what = f"edgeresnet is not installed on {address.host}, or not where it is looked for"
    numbers = tuple(map(int, re.findall(r"\d{1,9}", python)))
    if numbers and numbers < _OLDEST:
        return MissingBackendError(
            f"{what}; its python3 is {python}",
            hint="edgeresnet needs Python 3.10 or later there; on a Jetson, JetPack 6 or later",
        )
    wheel = f"edgeresnet-{__version__}-py3-none-any.whl"
    wanted = f"./{wheel}[{extra}]" if extra else f"./{wheel}"
    install = (
        f"python3 -m venv --system-site-packages ~/.venv && ~/.venv/bin/pip install '{wanted}'"
    )
    return MissingBackendError(
        what,
        hint="in edgeresnet's sources: pip wheel --no-deps -w dist . && "
        f'{address.scp(f"dist/{wheel}")} && {address.words} "{install}"; or --remote-command PATH',
    )
