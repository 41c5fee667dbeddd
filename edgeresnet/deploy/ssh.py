"""Commands on another machine, all through one connection of the system's ``ssh``."""

from __future__ import annotations

import os
import re
import selectors
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from edgeresnet.core.errors import DeviceError, MissingBackendError
from edgeresnet.deploy.address import CONTROL, Address
from edgeresnet.deploy.refusals import refusal

_SETTINGS = (
    ("BatchMode", "yes"),  # nobody is asked for a password, the host's key is never taken blindly
    ("ConnectTimeout", "10"),
    ("ServerAliveInterval", "10"),
    ("ServerAliveCountMax", "3"),
    ("ControlPersist", "no"),
    ("ClearAllForwardings", "yes"),
    ("RemoteCommand", "none"),
)
_CONNECTS_S = 120
_TURN_S = 0.05
_ENDS_S = 15
"""Longer than the leash gives the command, so that it has ended there when we end here."""
_STOPS_S = 5
_SOCKET = 80
"""Characters of the socket's path: ssh adds some, and the system takes about a hundred."""
_LARGEST = 16 << 20
_LONGEST = 1 << 16
"""A longer line counts as several."""
_KEPT = 200
_DEVICE = "device"
"""A name for the machine in commands that go through the connection, where none is looked up."""
_LEASH = (
    'exec 3<&0; "$@" 3<&- </dev/null & pid=$!; '
    "(read -r _ <&3; kill $pid; sleep 10; kill -9 $pid) >/dev/null 2>&1 & dog=$!; "
    "wait $pid; code=$?; kill $dog 2>/dev/null; exit $code"
)
"""Runs a command that ends when our end of its standard input does, however we come to end.

One line, for shells that take no more in quotes.
"""


def quoted(word: str) -> str:
    """``word`` for the shell of the other machine; ``~/`` in front is the home there."""
    if word.startswith("~/"):
        return '"$HOME"/' + shlex.quote(word[2:])
    return shlex.quote(word)


def plain(text: str) -> str:
    """A line from another machine without what a terminal would obey."""
    return CONTROL.sub(" ", text).rstrip()


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    errors: tuple[str, ...]
    """The last lines of its standard error."""


class Connection:
    """An open connection; :func:`connected` makes one."""

    def __init__(self, address: Address, socket: Path, master: subprocess.Popen[bytes]) -> None:
        self.address = address
        self.ssh = (
            *("ssh", "-F", "none", "-S", str(socket), "-T"),
            *("-o", "ControlMaster=no", "-o", "BatchMode=yes"),
            *("-o", "ProxyCommand=false"),  # should the connection be gone, make no other
        )
        """The words of a command that goes through it, to :attr:`name`."""
        self.name = _DEVICE
        self._master = master

    @property
    def host(self) -> str:
        """The machine, as the user named it."""
        return self.address.host

    def script(self, text: str, *arguments: str, doing: str, limit_s: float = 120) -> Done:
        """Run a shell script there that nobody has to wait long for; ``doing`` is for errors."""
        given = " ".join(map(quoted, arguments))
        with self.started(f"sh -s -- {given}") as process:
            assert process.stdin is not None
            with suppress(BrokenPipeError):  # its end says why
                os.write(process.stdin.fileno(), text.encode())  # less than a pipe holds
            process.stdin.close()
            try:
                out, told = _gathered(process, limit_s)
            except subprocess.TimeoutExpired as error:
                raise DeviceError(
                    f"{self.host} did not answer in {limit_s:g} s",
                    hint=f"is it busy, or its disk hung? {self.address.words} uptime",
                ) from error
        said = [plain(line) for line in told.decode(errors="replace").splitlines()]
        return self._done(process.returncode, out, said[-_KEPT:], doing)

    def run(self, words: Sequence[str], tell: Callable[[str], None], *, doing: str) -> Done:
        """Run a command there, for however long; ``tell`` hears its standard error as it comes.

        It ends when this process does, whatever ends it.
        """
        command = " ".join(["sh", "-c", shlex.quote(_LEASH), "sh", *map(quoted, words)])
        said: deque[str] = deque(maxlen=_KEPT)
        with self.started(command) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stderr is not None
            out: list[bytes] = []
            reader = threading.Thread(target=_read, args=(process.stdout, out), daemon=True)
            reader.start()
            try:
                for line in lines(process.stderr):
                    said.append(line)
                    tell(line)
                code = process.wait()
            finally:
                process.stdin.close()  # the leash
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_ENDS_S)
                if process.poll() is not None:
                    reader.join(_ENDS_S)
        return self._done(code, b"".join(out), said, doing)

    @contextmanager
    def started(self, command: str) -> Generator[subprocess.Popen[bytes]]:
        """A command line of the other machine's shell, with pipes; killed when the block ends."""
        with subprocess.Popen(  # noqa: S603  our words, and theirs are quoted
            [*self.ssh, self.name, command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(),
            start_new_session=True,  # Ctrl-C is for us, and we end it
        ) as process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.kill()

    def check(self, doing: str) -> None:
        """Raise if the connection is gone, which is why ``doing`` that failed."""
        with suppress(subprocess.TimeoutExpired):
            self._master.wait(1)
        if self._master.poll() is not None:
            raise DeviceError(
                f"the connection to {self.host} was lost while {doing}",
                hint="the same command again goes on where it stopped",
            )

    def _done(self, code: int, out: bytes, said: Iterable[str], doing: str) -> Done:
        errors = tuple(said)
        if len(out) > _LARGEST:
            raise DeviceError(f"{self.host} told more than {_LARGEST >> 20} MB")
        if code == 255:  # ssh's own, or the command's
            self.check(doing)
            if any("session request failed" in line for line in errors):
                raise DeviceError(
                    f"{self.host} opens no further session: {errors[-1]}",
                    hint="MaxSessions of its sshd_config has to be 3 or more",
                )
        return Done(code, out.decode(errors="replace"), errors)


@contextmanager
def connected(address: Address) -> Generator[Connection]:
    """Connect, or say why not; the block's end is the connection's."""
    if shutil.which("ssh") is None:
        raise MissingBackendError("ssh is not installed here", hint="apt install openssh-client")
    with tempfile.TemporaryDirectory(prefix="edgeresnet-ssh-", dir=_short_folder()) as folder:
        socket, log = Path(folder) / "s", Path(folder) / "log"
        settings = [f"{name}={value}" for name, value in _SETTINGS]
        options = [word for one in (*address.options, *settings) for word in ("-o", one)]
        port = ["-p", str(address.port)] if address.port is not None else []
        words = ["ssh", "-M", "-S", str(socket), "-T", "-a", "-x", *options, *port]
        with (
            log.open("wb") as errors,
            subprocess.Popen(  # noqa: S603  the options are the user's, the host is checked
                [*words, "--", address.host, "cat"],  # which ends when we do
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env=_environment(),
                start_new_session=True,
            ) as master,
        ):
            try:
                _wait(address, master, socket, log)
                yield Connection(address, socket, master)
            finally:
                master.terminate()
                with suppress(subprocess.TimeoutExpired):
                    master.wait(_STOPS_S)
                master.kill()


def _wait(address: Address, master: subprocess.Popen[bytes], socket: Path, log: Path) -> None:
    """Until the connection is there, which its socket tells."""
    end = time.monotonic() + _CONNECTS_S
    while not socket.exists():
        if master.poll() is not None:
            said = log.read_text(encoding="utf-8", errors="replace")
            said_lines = [plain(line) for line in said.splitlines()]
            raise refusal(address.host, address.words, said_lines, port=address.port)
        if time.monotonic() > end:
            raise DeviceError(
                f"{address.host} did not let us in within {_CONNECTS_S} s",
                hint=f"does it ask for something? {address.words}",
            )
        time.sleep(_TURN_S)


def lines(pipe: IO[bytes]) -> Iterator[str]:
    """As they come, made harmless, and none without end."""
    for line in iter(lambda: pipe.readline(_LONGEST), b""):
        yield plain(line.decode(errors="replace"))


def _read(pipe: IO[bytes], into: list[bytes]) -> None:
    """All that comes, and no more than is sane."""
    into.append(pipe.read(_LARGEST + 1))
    while pipe.read(1 << 16):
        pass


def _gathered(process: subprocess.Popen[bytes], limit_s: float) -> tuple[bytes, bytes]:
    """What a process tells until it ends, and no more than is sane.

    No thread reads: the connection has the other end of the pipes, and they outlive a killed ssh.
    """
    assert process.stdout is not None
    assert process.stderr is not None
    told = {process.stdout.fileno(): bytearray(), process.stderr.fileno(): bytearray()}
    out, errors = told.values()
    end = time.monotonic() + limit_s
    with selectors.DefaultSelector() as pipes:
        for pipe in told:
            pipes.register(pipe, selectors.EVENT_READ)
        while pipes.get_map():
            if (left := end - time.monotonic()) < 0:
                raise subprocess.TimeoutExpired(process.args, limit_s)
            for key, _ in pipes.select(left):
                if part := os.read(key.fd, _LONGEST):
                    told[key.fd] += part[: _LARGEST + 1 - len(told[key.fd])]
                else:
                    pipes.unregister(key.fd)
    process.wait(max(end - time.monotonic(), 0))
    return bytes(out), bytes(errors)


def _environment() -> dict[str, str]:
    """Ours, with messages in the language that we know."""
    return {**os.environ, "LC_ALL": "C"}


def _short_folder() -> str | None:
    """Where a socket's path is short enough and without spaces; ``None`` is the usual place."""
    usual = tempfile.gettempdir()
    fits = len(usual) + len("/edgeresnet-ssh-12345678/s") <= _SOCKET
    unusual = not re.fullmatch(r"[\w./-]+", usual, re.ASCII)
    return "/tmp" if sys.platform != "win32" and (unusual or not fits) else None  # noqa: S108
