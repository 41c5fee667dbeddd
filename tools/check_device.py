"""Checks that the device part installs on an ARM board: from wheels, small, without torch or onnx.

Builds edgeresnet's wheel and looks into it; resolves what it needs for each board of BOARDS as pip
there would (tags, glibc and markers of the board, versions of constraints.txt), fetches the wheels
and adds up what they unpack to; then installs the base package for a Python 3.10 of this machine,
where there is one, and imports the device part there. Needs a package index: exit 3 without one,
exit 1 naming what broke. About two minutes.
"""

import argparse
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from device import board, built, floor
from device.board import BOARDS, Board, Package, Unresolvable

from edgeresnet.cli.console import print_table
from edgeresnet.core.errors import EdgeError

MOST_MB = 200
"""Of the base package; an extra is a choice."""
SHARE_APART = "opencv-python-headless"
AT_ONCE = 3


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--newest", action="store_true", help="the newest versions, not those of constraints.txt")
    add("--no-floor", action="store_true", help="install nothing for a Python 3.10 of this machine")
    return parser.parse_args()


def main() -> int:
    """Everything in turn; what is broken is told at the end, in one list."""
    options = parse()
    with tempfile.TemporaryDirectory(prefix="check-device-") as folder:
        wheel = built.build(Path(folder))
        broken = built.missing(wheel)
        print(f"{wheel.name}: {_mb(built.unpacked(wheel)):.1f} MB unpacked\n")
        wheels = Path(folder, "wheels")
        wheels.mkdir()
        broken += _boards(wheel, wheels, newest=options.newest)
        if not options.no_floor:
            broken += _floor(wheel, Path(folder))
    for what in broken:
        print(f"broken: {what}")
    if not broken:
        print("the device part installs on every board")
    return 1 if broken else 0


def _boards(wheel: Path, wheels: Path, *, newest: bool) -> list[str]:
    """A table for the base package of each board, and one for what each extra brings on top."""
    wanted = [(one, extra) for one in BOARDS for extra in ("", *one.extras)]

    def found(what: tuple[Board, str]) -> list[Package] | Unresolvable:
        try:
            return board.resolve(what[0], wheel, what[1], newest=newest)
        except Unresolvable as error:
            return error

    def fetch(one: Board) -> None:
        packages = [known[one, extra] for extra in ("", *one.extras)]
        whole = {p for some in packages if isinstance(some, list) for p in some}
        board.fetch(one, sorted(whole, key=lambda p: p.name), wheels)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        known = dict(zip(wanted, pool.map(found, wanted), strict=True))
    for one in BOARDS:  # in turn: what a board has in common with another is there already
        fetch(one)
    broken = []
    for (one, extra), packages in known.items():
        title = f"{one.name}, Python {one.python}" + (f", [{extra}]" if extra else "")
        if isinstance(packages, Unresolvable):
            broken.append(f"{title}: {packages}")
            continue
        base = known[one, ""] if extra else []
        _tell(title, set(packages) - set(base if isinstance(base, list) else ()), packages, wheels)
        broken += [f"{title}: {name} is among the packages" for name in board.forbidden(packages)]
        size = _mb(_sum(packages, wheels, but=SHARE_APART))
        if size > MOST_MB and not extra:
            broken.append(f"{title}: {size:.0f} MB unpacked, of at most {MOST_MB}")
    return broken


def _tell(title: str, shown: set[Package], found: list[Package], wheels: Path) -> None:
    rows = [
        (one.name, one.version, f"{_mb(_sum([one], wheels)):.1f}", one.tag)
        for one in sorted(shown, key=lambda one: (-_sum([one], wheels), one.name))
    ]
    whole, counted = _mb(_sum(found, wheels)), _mb(_sum(found, wheels, but=SHARE_APART))
    rows.append((f"all {len(found)} packages", "", f"{whole:.1f}", ""))
    rows.append((f"without {SHARE_APART}", "", f"{counted:.1f}", ""))
    print_table(title, ("package", "version", "MB unpacked", "wheel for"), rows)
    print()


def _sum(packages: Iterable[Package], wheels: Path, *, but: str = "") -> int:
    total = 0
    for one in packages:
        if one.name != but:
            with zipfile.ZipFile(wheels / one.file) as archive:
                total += sum(entry.file_size for entry in archive.infolist())
    return total


def _floor(wheel: Path, folder: Path) -> list[str]:
    """The base package alone, installed and used on the oldest Python of the device part."""
    python = floor.interpreter()
    if python is None:
        print(f"no Python {floor.OLDEST} here: nothing was installed, imported or run\n")
        return []
    told, broken = floor.use(python, wheel, folder / "floor")
    print(f"installed for {python}, base package only: {told}\n")
    return broken


def _mb(size: int) -> float:
    return size / 1e6


if __name__ == "__main__":
    try:
        sys.exit(main())
    except EdgeError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
