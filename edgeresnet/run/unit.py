"""The systemd unit that keeps a run going: told when it is ready, watched, and shut in."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeresnet.core.errors import UsageError

_SERVICE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,30}")
_CREDENTIAL = re.compile(r"[A-Za-z0-9_.-]{1,64}")

_HEAD = """\
# {told} wrote this. To install it:
#   sudo useradd --system --no-create-home --shell /usr/sbin/nologin {user}
#   {told} | sudo tee /etc/systemd/system/{name}.service
#   sudo systemctl daemon-reload
#   sudo systemctl enable --now {name}
# Later: systemctl status {name}, journalctl -u {name}; systemctl reload {name} reads the
# configuration again. Relative paths in it are in /var/lib/{name}, the one place besides the
# cache that can be written to; another: ReadWritePaths=/srv/out with systemctl edit {name}.
"""

_UNIT = """\
[Unit]
Description=edgeresnet: {config}
After={after}
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart={start}
ExecReload=/bin/kill -HUP $MAINPID
# the first start compiles the engine; the watchdog starts when that is done
TimeoutStartSec={start_timeout}
TimeoutStopSec=15
WatchdogSec=30
Restart=always
RestartSec=2
# longer from time to time, up to a minute; systemd before 254 stays at 2 s
RestartSteps=6
RestartMaxDelaySec=60
KillMode=mixed
# a capture process that is killed for memory is replaced, not the whole run
OOMPolicy=continue
MemoryMax=75%
TasksMax=1024
LimitCORE=0

User={user}
Group={user}
SupplementaryGroups={groups}
StateDirectory={name}
CacheDirectory={name}
RuntimeDirectory={name}
WorkingDirectory=%S/{name}
Environment=XDG_CACHE_HOME=%C/{name}
{environment}{credentials}UMask=0077

NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome={home}
{temporary}
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
ProtectProc=invisible
ProcSubset=all
RestrictSUIDSGID=yes
RestrictRealtime=yes
RestrictNamespaces=yes
LockPersonality=yes
RemoveIPC=yes
KeyringMode=private
# netlink only to learn this machine's own addresses
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
SystemCallErrorNumber=EPERM
# MemoryDenyWriteExecute stays off: inference runtimes write the code that they run

DevicePolicy=closed
{devices}

[Install]
WantedBy=multi-user.target
"""

DEVICES = ("char-video4linux", "char-media", "char-drm")
"""Cameras, their controllers, and graphics (``/dev/dri``)."""
_GPU_DEVICES = (
    *("char-nvidia*", "char-nvhost*", "char-nvgpu*", "char-*.gpu", "char-host1x*"),
    *("/dev/nvmap", "/dev/host1x-fence", "/dev/nvsciipc"),
    *(f"/dev/nvgpu/igpu0/{one}" for one in ("as", "channel", "ctrl", "power", "prof", "tsg")),
)
"""A Jetson's CUDA opens ``nvmap``, ``host1x-fence``, ``nvgpu/igpu0/*`` and ``/dev/dri``; the kernel
names some of their kinds by an address (``17000000.gpu``), and some are of no kind of their own."""
_GPU_NODE = re.compile(r"nv(idia|host|map|gpu|sci|dec|enc|jpg|avp|csi)|host1x-")
"""Not ``/dev/nvme0``, which is the disk."""
_PRIVATE = "PrivateTmp=yes"
_SHARED = """\
# nvargus-daemon, which has the CSI cameras, listens at /tmp/argus_socket, anew whenever it starts:
# this sees the system's /tmp, and cannot write to it
PrivateTmp=no"""


@dataclass(frozen=True)
class Service:
    """What a unit is made from; what systemd would read otherwise is refused."""

    name: str
    user: str
    command: tuple[str, ...]
    """The program with its first arguments; the program is an absolute path."""
    config: Path
    """Absolute."""
    told: tuple[str, ...] = ("edgeresnet", "service", "--print")
    """The command that prints this unit, for whoever reads it."""
    reads: tuple[Path, ...] = ()
    """What else it has to see: the interpreter, the bundle."""
    credentials: tuple[str, ...] = ()
    """Names of secrets, files beside ``config``."""
    groups: tuple[str, ...] = ("video",)
    devices: tuple[str, ...] = DEVICES
    gpu: bool = False
    """It uses an NVIDIA GPU, whose engine is built at the first start."""
    csi: bool = False
    """It reads CSI cameras of a Jetson."""

    def __post_init__(self) -> None:
        if not _SERVICE_NAME.fullmatch(self.name):
            raise UsageError(
                f"{self.name!r} is no name for a service", hint="letters, digits and . _ -"
            )
        if not _USER.fullmatch(self.user):
            raise UsageError(
                f"{self.user!r} is no name for a user", hint="small letters, digits and _ -"
            )
        for name in self.credentials:
            if not _CREDENTIAL.fullmatch(name) or name in (".", ".."):
                raise UsageError(
                    f"{self.config}: credential:{name} is no name for a credential",
                    hint="letters, digits and . _ -",
                )
        for text in (*self.command, str(self.config)):
            if not text.isprintable() or set(text) & set("\"'\\$"):
                raise UsageError(
                    f"{text!r} cannot stand in a unit",
                    hint="move it to a path without quotes, $, backslashes and line ends",
                )

    def unit(self) -> str:
        """The text of ``/etc/systemd/system/NAME.service``."""
        start = [*self.command, "run", str(self.config)]
        beside = _plain(str(self.config.parent))
        return _HEAD.format(
            told=shlex.join(self.told), user=self.user, name=self.name
        ) + _UNIT.format(
            name=self.name,
            user=self.user,
            config=_plain(str(self.config)),
            start=" ".join(_word(text) for text in start),
            groups=" ".join(self.groups),
            credentials="".join(
                f"LoadCredential={name}:{beside.rstrip('/')}/{name}\n" for name in self.credentials
            ),
            home="read-only" if self.at_home else "yes",
            devices="\n".join(f"DeviceAllow={device} rw" for device in self.devices),
            after=" ".join(("network.target", *self._before)),
            start_timeout="90min" if self.gpu else "15min",
            environment="".join(f"Environment={one}\n" for one in self._environment),
            temporary=_SHARED if self.csi else _PRIVATE,
        )

    @property
    def _before(self) -> tuple[str, ...]:
        """Services that have to be there, on the machines that have them."""
        gpu = ("nvidia-persistenced.service", "nvpmodel.service") if self.gpu else ()
        return (*gpu, "nvargus-daemon.service") if self.csi else gpu

    @property
    def _environment(self) -> tuple[str, ...]:
        cuda = (f"CUDA_CACHE_PATH=%C/{self.name}/cuda",) if self.gpu else ()
        return (*cuda, f"TMPDIR=%t/{self.name}") if self.csi else cuda

    @property
    def hidden(self) -> tuple[str, ...]:
        """What it needs of ``/tmp``, where it sees only what it made itself."""
        return () if self.csi else self._under("/tmp/", "/var/tmp/")  # noqa: S108  named, not used

    @property
    def at_home(self) -> tuple[str, ...]:
        """What it needs of people's own folders, which may be closed to it."""
        return self._under("/home/", "/root/", "/run/user/")

    def _under(self, *folders: str) -> tuple[str, ...]:
        needed = (*self.command, str(self.config), *map(str, self.reads))
        return tuple(dict.fromkeys(one for one in needed if one.startswith(folders)))


def gpu_devices(nodes: Sequence[str]) -> tuple[str, ...]:
    """An NVIDIA GPU's devices, those of Jetsons too; ``nodes`` are paths found in ``/dev``."""
    found = tuple(node for node in nodes if _GPU_NODE.match(node.removeprefix("/dev/")))
    return (*DEVICES, *dict.fromkeys((*_GPU_DEVICES, *found)))


def _plain(text: str) -> str:
    return text.replace("%", "%%")


def _word(text: str) -> str:
    """One word of a command line, as systemd reads them."""
    return f'"{_plain(text)}"' if re.search(r"[\s;]", text) or not text else _plain(text)
