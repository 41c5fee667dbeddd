"""Runs one command and writes how long it took and how much memory it needed.

usage: measure.py RESULT.json COMMAND... A program of its own, and a small one: Linux counts the
memory of the process that starts a command towards the command's peak, so a large parent would
hide a small child.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path


def main() -> int:
    """Runs the command; its exit status is ours."""
    out, command = Path(sys.argv[1]), sys.argv[2:]
    start = time.perf_counter()
    child = subprocess.Popen(command)
    _, status, used = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    kilobytes = used.ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    out.write_text(
        json.dumps({"seconds": round(seconds, 2), "peak_mb": round(kilobytes / 1024, 1)}),
        encoding="utf-8",
    )
    return 1 if child.returncode else 0


if __name__ == "__main__":
    sys.exit(main())
