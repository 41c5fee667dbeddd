"""What pip installs on an ARM board, found out on another machine.

pip takes the tags of another machine, but not its environment markers, which it reads from the
Python that runs it: those are replaced in a process of their own.
"""

import json
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from edgeresnet.core.errors import MissingBackendError

CONSTRAINTS = Path(__file__).parents[2] / "constraints.txt"
_PIP = """
import json, sys
from pip._vendor.packaging import markers
board, here = json.loads(sys.argv.pop(1)), markers.default_environment
markers.default_environment = lambda: {**here(), **board}
from pip._internal.cli.main import main
sys.exit(main())
"""
_QUIET = ("-q", "--disable-pip-version-check", "--no-input", "--retries", "1", "--timeout", "20")
_NO_INDEX = re.compile(
    r"NewConnectionError|ConnectTimeout|ReadTimeout|ConnectionError|Max retries|ProxyError|SSLError"
    r"|Name or service|name resolution"
)
FORBIDDEN = re.compile(
    r"torch.*|onnx|tensorflow.*|jax.*|nvidia-.*|cuda-.*|cupy.*|pycuda|triton|tensorrt.*"
)


@dataclass(frozen=True)
class Board:
    """A machine that pip installs for."""

    name: str
    python: str
    glibc: int
    """The second number of its version, 2.35."""
    extras: tuple[str, ...] = ()

    @property
    def pip(self) -> list[str]:
        """Its tags, as options of pip."""
        platforms = [f"manylinux_2_{minor}_aarch64" for minor in range(self.glibc, 16, -1)]
        platforms += ["manylinux2014_aarch64", "linux_aarch64"]
        options = ["--only-binary=:all:", "--implementation", "cp", "--python-version", self.python]
        return options + [word for one in platforms for word in ("--platform", one)]

    @property
    def markers(self) -> dict[str, str]:
        """What its environment markers are, where they differ between machines."""
        return {
            "implementation_name": "cpython",
            "implementation_version": f"{self.python}.0",
            "os_name": "posix",
            "platform_machine": "aarch64",
            "platform_python_implementation": "CPython",
            "platform_system": "Linux",
            "python_full_version": f"{self.python}.0",
            "python_version": self.python,
            "sys_platform": "linux",
        }


BOARDS = (
    Board("JetPack 6 (Ubuntu 22.04)", "3.10", 35, ("onnxruntime",)),
    Board("JetPack 7 (Ubuntu 24.04)", "3.12", 35, ("onnxruntime",)),
    Board("Raspberry Pi OS 12", "3.11", 36, ("onnxruntime", "openvino")),
)


@dataclass(frozen=True)
class Package:
    """One wheel that pip chose."""

    name: str
    version: str
    file: str

    @property
    def tag(self) -> str:
        """Of the platform; the oldest, where the file names several."""
        return self.file.removesuffix(".whl").rpartition("-")[2].split(".")[0]


class Unresolvable(Exception):  # noqa: N818  a finding about the board
    """pip finds no set of wheels."""


def resolve(board: Board, wheel: Path, extra: str, *, newest: bool = False) -> list[Package]:
    """What pip would install on the board beside edgeresnet itself, in the order of names."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        wanted = f"{wheel}[{extra}]" if extra else str(wheel)
        command = ["install", "--dry-run", "--ignore-installed", "--report", str(report)]
        command += ["--target", str(Path(folder, "target")), *board.pip, wanted]
        _pip(board, command if newest else [*command, "-c", str(CONSTRAINTS)])
        found = json.loads(report.read_text(encoding="utf-8"))["install"]
    packages = [
        Package(
            re.sub(r"[-_.]+", "-", one["metadata"]["name"]).lower(),
            one["metadata"]["version"],
            one["download_info"]["url"].rpartition("/")[2].partition("#")[0],
        )
        for one in found
    ]
    return sorted((one for one in packages if one.file != wheel.name), key=lambda one: one.name)


def fetch(board: Board, packages: list[Package], folder: Path) -> None:
    """Download those wheels into ``folder``, but for what is there already."""
    wanted = [f"{one.name}=={one.version}" for one in packages if not (folder / one.file).exists()]
    if wanted:
        _pip(board, ["download", "--no-deps", "-d", str(folder), *board.pip, *wanted])


def forbidden(packages: list[Package]) -> list[str]:
    """Names of those that a device must never need."""
    return [one.name for one in packages if FORBIDDEN.fullmatch(one.name)]


def _pip(board: Board, arguments: list[str]) -> None:
    command = [sys.executable, "-c", _PIP, json.dumps(board.markers), *arguments, *_QUIET]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if not done.returncode:
        return
    if _NO_INDEX.search(done.stderr):
        raise MissingBackendError(
            "no package index can be reached", hint="check the network, or set PIP_INDEX_URL"
        )
    errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
    what = " ".join(errors or done.stderr.splitlines()[-1:]).replace("ERROR: ", "")
    raise Unresolvable(" ".join(what.split()) or f"pip: exit {done.returncode}")
