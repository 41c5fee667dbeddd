"""Installed packages: the base, the runtimes, and what the host's stages need."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from edgeresnet.doctor import nvidia
from edgeresnet.doctor.verdict import Check, advice, missing, ok

_BASE = {
    "aiohttp": "aiohttp",
    "av": "av",
    "numpy": "numpy",
    "opencv-python-headless": "cv2",
    "paho-mqtt": "paho.mqtt",
    "prometheus-client": "prometheus_client",
    "psutil": "psutil",
    "pydantic": "pydantic",
}
"""Distribution to the module it brings; a system package may bring the module without it."""
_HOST = {
    "onnx": ("onnx", "quantize"),
    "torch": ("torch", "convert"),
    "safetensors": ("safetensors", "convert"),
}
"""Distribution to its module, and the extra that installs it."""
_LOAD_S = 60
_LOAD = """
import sys
from edgeresnet.backends import get_backend
print(get_backend(sys.argv[1]).version())
"""


def base() -> tuple[Check, ...]:
    """What every run needs."""
    found = {name: installed(name, module) for name, module in _BASE.items()}
    if absent := [name for name, at in found.items() if at is None]:
        return (missing("packages", f"without {', '.join(absent)}", _pip(*absent)),)
    return (ok("packages", ", ".join(f"{name} {at}" for name, at in found.items())),)


def backends(host: Path) -> tuple[Check, ...]:
    """Every runtime, each loaded in a process of its own: it may crash or hang there.

    TensorRT only where ``host`` has a GPU for it.
    """
    try:
        from edgeresnet.backends import BACKENDS
    except ImportError as error:  # the base is not whole, and this is when doctor is asked
        return (missing("runtimes", f"cannot be looked at: {error}", "the packages above first"),)
    here = (name for name in BACKENDS if name != nvidia.NAME or nvidia.is_here(host))
    return tuple(
        backend(name, nvidia.getting(host) if name == nvidia.NAME else None) for name in here
    )


def backend(
    name: str,
    getting: nvidia.Getting | None = None,
    *,
    code: str = _LOAD,
    timeout_s: float = _LOAD_S,
) -> Check:
    """Whether one runtime loads here; ``getting`` when it is not pip that gets it."""
    getting = getting or nvidia.Getting(
        "not installed", _pip(f"edgeresnet[{name}]"), _reinstall(name)
    )
    try:
        done = subprocess.run(  # noqa: S603  this interpreter, a fixed program
            [sys.executable, "-c", code, name],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return missing(name, f"loading takes over {timeout_s:.0f} s", getting.again)
    if done.returncode == 0:
        return ok(name, done.stdout.strip().splitlines()[-1])
    if done.returncode < 0:
        return missing(name, f"crashes when loaded (signal {-done.returncode})", getting.again)
    if find_spec(name) is None:
        return missing(name, getting.absent, getting.get)
    last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    return missing(name, f"cannot be loaded: {last[:160]}", getting.again)


def host_part() -> tuple[Check, ...]:
    """What convert and quantize need; a device that only runs bundles does without."""
    checks = []
    for name, (module, extra) in _HOST.items():
        found = installed(name, module)
        if found is None:
            where = f"not installed: only needed to {extra}"
            checks.append(advice(name, where, _pip(f"edgeresnet[{extra}]")))
        else:
            checks.append(ok(name, found))
    return tuple(checks)


def installed(distribution: str, module: str) -> str | None:
    """Its version, or None."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        try:
            return "from the system" if find_spec(module) else None
        except ModuleNotFoundError:
            return None


def _pip(*what: str) -> str:
    return "pip install " + " ".join(f"'{w}'" if "[" in w else w for w in what)


def _reinstall(name: str) -> str:
    return f"pip install --force-reinstall --no-deps {name}; is it made for this processor?"
