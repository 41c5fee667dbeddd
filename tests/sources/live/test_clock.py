"""The wall clock jumps, here and in the capture child: T1."""

import itertools
import time

import pytest

CHILD = """
import itertools, time
_real, _hours = time.time, itertools.cycle((0, 1, -1, -400_000))
time.time = lambda: _real() + 3600 * next(_hours)
time.time_ns = lambda: int(time.time() * 1e9)
"""


@pytest.fixture
def _wild_clock(tmp_path, monkeypatch):
    """Every look at the wall clock is hours apart from the one before."""
    (tmp_path / "sitecustomize.py").write_text(CHILD, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    real, hours = time.time, itertools.cycle((0, 1, -1, -400_000))
    monkeypatch.setattr(time, "time", lambda: real() + 3600 * next(hours))


@pytest.mark.usefixtures("_wild_clock")
def test_a_wall_clock_that_jumps_stalls_nothing_and_hastens_nothing(view):
    viewer = view("synthetic://32x24?count=0&fps=50", stall_s=2.0, frozen_s=5.0)
    viewer.gets(100)
    health = viewer.health
    assert (health.attempts, health.reason) == (1, "")
    assert 1 < health.since_s < 60
    assert not health.frozen


@pytest.mark.usefixtures("_wild_clock")
def test_a_wall_clock_that_jumps_does_not_stop_the_watchdog(view):
    viewer = view("synthetic://32x24?count=0&fps=50&hang=10", stall_s=1.0)
    viewer.until(lambda: viewer.health.reconnects == 1)
    assert viewer.reasons == {"stalled"}
