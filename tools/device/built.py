"""edgeresnet's own wheel, built now and looked into."""

import subprocess
import sys
import zipfile
from pathlib import Path

from edgeresnet.core.errors import MissingBackendError

ROOT = Path(__file__).parents[2]
SHIPPED = ("targets", "calibration")


def build(folder: Path) -> Path:
    """Build it with hatchling into ``folder``."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr or done.stdout).strip().rpartition("\n")[2]
        raise MissingBackendError(
            f"edgeresnet's wheel cannot be built: {last}", hint="pip install -e '.[dev]'"
        )
    (wheel,) = folder.glob("*.whl")
    return wheel


def missing(wheel: Path) -> list[str]:
    """What the checkout ships and the wheel does not hold."""
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    wanted = {
        f"edgeresnet/_shipped/{file.relative_to(ROOT).as_posix()}"
        for folder in SHIPPED
        for file in (ROOT / folder).rglob("*.toml")
    }
    wanted |= {file.relative_to(ROOT).as_posix() for file in (ROOT / "edgeresnet").rglob("*.py")}
    return [f"{wheel.name} lacks {name}" for name in sorted(wanted - held)]


def unpacked(wheel: Path) -> int:
    """Bytes that a wheel unpacks to."""
    with zipfile.ZipFile(wheel) as archive:
        return sum(entry.file_size for entry in archive.infolist())
