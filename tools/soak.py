"""Runs a bundle for long with everything that can go wrong, and tells what its memory did.

usage: soak.py BUNDLE [--minutes 20] [--work FOLDER]

One source at full rate, one that breaks off every few seconds, one that is not there, and an MQTT
broker (mosquitto, which has to be installed) that is stopped and started all the time. Every few
seconds the proportional memory, the descriptors and the threads of the whole process tree are
read. After the first tenth, which is warming up, it prints the slope of memory (Theil and Sen's
median of slopes) and the last tenth less the first, and fails when that is 20 MB or more.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import psutil

MOST_MB = 20.0
EVERY_S = 5.0
BROKER_UP_S, BROKER_DOWN_S = 20.0, 10.0
PORT = 18830
SOURCES = (
    "synthetic://640x480?fps=300&count=0&as=full",
    "synthetic://320x240?fps=10&count=0&fail=30&as=flapping",
    "rtsp://127.0.0.1:9/none?as=dead",
)


@dataclass(frozen=True)
class Sample:
    """The process tree at one moment."""

    at_s: float
    pss_mb: float
    files: int
    threads: int


class Broker:
    """A mosquitto that goes and comes."""

    def __init__(self, folder: Path) -> None:
        self._config = folder / "mosquitto.conf"
        self._config.write_text(
            f"listener {PORT} 127.0.0.1\nallow_anonymous true\npersistence false\n"
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._next = 0.0

    def turn(self, now: float) -> None:
        """Stop or start it when it is time."""
        if now < self._next:
            return
        if self._process is None:
            command = [shutil.which("mosquitto") or "/usr/sbin/mosquitto", "-c", str(self._config)]
            self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
            self._next = now + BROKER_UP_S
        else:
            self.stop()
            self._next = now + BROKER_DOWN_S

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
        self._process = None


def sample(process: psutil.Process, at_s: float) -> Sample:
    """Memory, descriptors and threads of ``process`` and all below it."""
    pss = files = threads = 0
    for one in (process, *process.children(recursive=True)):
        try:
            pss += one.memory_full_info().pss
            files += one.num_fds()
            threads += one.num_threads()
        except psutil.NoSuchProcess:  # a capture child that was just replaced
            continue
    return Sample(at_s, pss / 1e6, files, threads)


def slope_mb_per_hour(samples: list[Sample]) -> float:
    """Theil and Sen's: the median of the slopes of all pairs."""
    few = samples[:: max(1, len(samples) // 200)]
    slopes = [(b.pss_mb - a.pss_mb) / (b.at_s - a.at_s) * 3600 for a, b in combinations(few, 2)]
    return statistics.median(slopes)


def tenth(samples: list[Sample], *, last: bool) -> float:
    """Median memory of the first or the last tenth."""
    count = max(1, len(samples) // 10)
    return statistics.median(one.pss_mb for one in (samples[-count:] if last else samples[:count]))


def main() -> int:
    """Soak, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--work", type=Path, help="Where the spool and the log go.")
    options = parser.parse_args()
    work = options.work or Path(tempfile.mkdtemp(prefix="soak-"))
    work.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "edgeresnet", "run", str(options.bundle), "-q", "--json"]
    for source in SOURCES:
        command += ["--source", source]
    command += ["--sink", f"mqtt://127.0.0.1:{PORT}/soak?every=0.05", "--sink", "web:0"]
    broker = Broker(work)
    begin, samples = time.monotonic(), []
    with (work / "stderr.log").open("wb") as log:
        run = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=log,
            env={**os.environ, "XDG_STATE_HOME": str(work)},
        )
        try:
            process = psutil.Process(run.pid)
            while (now := time.monotonic()) - begin < options.minutes * 60:
                if run.poll() is not None:
                    print(f"the run ended: exit {run.returncode}; see {work}/stderr.log")
                    return 1
                broker.turn(now)
                samples.append(sample(process, now - begin))
                time.sleep(EVERY_S)
        finally:
            run.send_signal(signal.SIGTERM)
            told, _ = run.communicate(timeout=30)
            broker.stop()
    warm = samples[len(samples) // 10 :]
    difference = tenth(warm, last=True) - tenth(warm, last=False)
    report = json.loads(told)
    frames = report["frames"]
    exact = frames["captured"] == frames["inferred"] + sum(frames["dropped"].values())
    print(json.dumps({"frames": frames, "sinks": report.get("sinks"), "fps": report["fps"]}))
    print(f"exit {run.returncode}; identity {'exact' if exact else 'BROKEN'}")
    print(f"memory: peak {max(one.pss_mb for one in samples):.1f} MB proportional")
    print(f"slope {slope_mb_per_hour(warm):+.2f} MB/h; last tenth less first {difference:+.2f} MB")
    for name in ("files", "threads"):
        values = [getattr(one, name) for one in warm]
        print(f"{name}: {values[0]} at first, {values[-1]} at last, {max(values)} at most")
    return 0 if exact and run.returncode == 0 and difference < MOST_MB else 1


if __name__ == "__main__":
    sys.exit(main())
