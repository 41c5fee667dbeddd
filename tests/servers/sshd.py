"""A real sshd on this machine, of this user, with keys and configuration of its own."""

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

ABSENT = "openssh-server is not installed"
WITHIN_S = 15
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
_SEPARATION = Path("/run/sshd")


def is_installed():
    return all(shutil.which(name, path=_PATH) for name in ("sshd", "ssh", "ssh-keygen"))


def free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def key(path):
    """A new key pair; the public one ends in ``.pub``."""
    made = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(path)]
    subprocess.run(made, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    return path


class Sshd:
    """Lets in the user who runs the tests. ``home`` and ``path`` are ``HOME`` and ``PATH`` there.

    ``settings`` are more lines of its configuration, before ours, and so they win.
    """

    host = "127.0.0.1"

    def __init__(self, folder, *, home, path=os.defpath, settings=()):
        self.folder, self.port, self.home = folder, free_port(), home
        folder.mkdir(parents=True)
        self.user = getpass.getuser()
        host_key, self.key = key(folder / "host_key"), key(folder / "client_key")
        kind, text = (folder / "host_key.pub").read_text().split()[:2]
        self.known = folder / "known_hosts"
        self.known.write_text(f"[{self.host}]:{self.port} {kind} {text}\n")
        shutil.copy(folder / "client_key.pub", folder / "authorized_keys")
        lines = [
            *settings,
            f"Port {self.port}",
            f"ListenAddress {self.host}",
            f"HostKey {host_key}",
            "PidFile none",
            f"AuthorizedKeysFile {folder}/authorized_keys",
            "StrictModes no",
            "UsePAM no",
            "PermitRootLogin prohibit-password",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "PrintMotd no",
            f'SetEnv "HOME={home}" "PATH={path}"',
        ]
        (folder / "config").write_text("\n".join(lines) + "\n")
        self._child = None

    @property
    def options(self):
        """For ``ssh -o``: the client's key and the server's, and nothing of the user's own."""
        return (
            f"IdentityFile={self.key}",
            "IdentitiesOnly=yes",
            "IdentityAgent=none",
            f"UserKnownHostsFile={self.known}",
            "GlobalKnownHostsFile=/dev/null",
        )

    @property
    def to(self):
        """What ``--to`` takes."""
        return f"{self.user}@{self.host}:{self.port}"

    def __enter__(self):
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            _SEPARATION.mkdir(mode=0o755, exist_ok=True)
        program = shutil.which("sshd", path=_PATH)  # it wants an absolute path
        config = str(self.folder / "config")
        self._child = subprocess.Popen(
            [program, "-D", "-f", config, "-E", str(self.folder / "log")],
            start_new_session=True,
        )
        until = time.monotonic() + WITHIN_S
        while time.monotonic() < until:
            assert self._child.poll() is None, self.log()
            with socket.socket() as probe:
                if probe.connect_ex((self.host, self.port)) == 0:
                    return self
            time.sleep(0.02)
        raise AssertionError(self.log())

    def __exit__(self, *_):
        self._child.terminate()
        self._child.wait(WITHIN_S)

    def sessions(self):
        """Process ids of the servers of single connections."""
        return children(self._child.pid)

    def cut(self):
        """Kill the servers of all connections; new ones are still taken."""
        for pid in self.sessions():
            for one in (pid, *children(pid)):
                os.kill(one, signal.SIGKILL)

    def log(self):
        log = self.folder / "log"
        return log.read_text() if log.exists() else "sshd said nothing"


def children(pid):
    """Process ids whose parent is ``pid``."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = stat.read_text().rpartition(")")[2].split()[1]
        except OSError:  # gone meanwhile
            continue
        if int(parent) == pid:
            found.append(int(stat.parent.name))
    return found
