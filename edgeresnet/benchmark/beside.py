"""Other programs measured in turns with ours."""

from __future__ import annotations

import re
import shlex
import subprocess

from edgeresnet.core.errors import UsageError

_RATE = re.compile(r"^\s*(?P<name>.*?\S)[\s:]+(?P<rate>\d+(\.\d+)?) frames/s\s*$")
_LONGEST_S = 600
_SAID = 300


def rates_beside(command: str) -> dict[str, float]:
    """Run ``command`` and return the rates that it prints.

    Each line of its standard output that ends in ``NUMBER frames/s`` is one, named by what stands
    before. No shell is involved.
    """
    try:
        words = shlex.split(command)
        done = subprocess.run(  # noqa: S603  the user's own command
            words, capture_output=True, text=True, timeout=_LONGEST_S, check=False
        )
    except (OSError, ValueError, IndexError) as error:
        raise UsageError(f"--beside cannot run {command!r}: {error}") from error
    except subprocess.TimeoutExpired as error:
        raise UsageError(f"--beside {command!r} took more than {_LONGEST_S} s") from error
    found = (_RATE.match(line) for line in done.stdout.splitlines())
    rates = {match["name"]: float(match["rate"]) for match in found if match}
    if done.returncode or not rates:
        said = (done.stderr or done.stdout).strip()[-_SAID:]
        raise UsageError(
            f"--beside {command!r} gave no rate (exit {done.returncode}): {said}",
            hint="it has to print lines as: NAME 123.4 frames/s",
        )
    return rates
