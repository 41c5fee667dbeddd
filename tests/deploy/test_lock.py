"""Two deploys of one name never meet, and a lock goes with whoever held it."""

import os
import shutil
import subprocess
import time

import pytest

from edgeresnet.core.errors import DeviceError
from edgeresnet.deploy import lock
from edgeresnet.deploy.lock import alone
from edgeresnet.deploy.remote import check_device
from edgeresnet.deploy.ssh import connected

WITHIN_S = 30
NAME = "it's [our] $b.bundle"


@pytest.fixture(autouse=True)
def flock():
    """Skips where it is absent."""
    if shutil.which("flock", path=os.defpath) is None:
        pytest.skip("flock is not installed")


@pytest.fixture
def connection(address):
    """One that is open."""
    with connected(address) as made:
        yield made


def taken_soon(connection, name):
    """Fails if the lock does not become free."""
    until = time.monotonic() + WITHIN_S
    while True:
        try:
            with alone(connection, "ours", name):
                return
        except DeviceError:
            assert time.monotonic() < until


def test_the_first_keeps_the_second_away_until_it_has_ended(address, connection, home):
    with connected(address) as other:
        with alone(connection, "ours", NAME):
            with pytest.raises(DeviceError, match="another deploy of") as caught:
                alone(other, "~/ours", NAME).__enter__()
            assert f"{NAME} to {connection.host} is running" in caught.value.what
            with alone(other, "ours", "another.bundle"), alone(other, "theirs", NAME):
                pass
        for _ in range(3):
            with alone(other, "ours", NAME):
                pass
    assert list((home / "ours").iterdir()) == []


def test_a_deploy_beside_another_touches_nothing(sent, address, bundle, home):
    with (
        connected(address) as other,
        alone(other, "edgeresnet", bundle.name),
        pytest.raises(DeviceError, match="another deploy of"),
    ):
        sent(bundle)
    assert list((home / "edgeresnet").iterdir()) == []


def test_whose_connection_is_cut_keeps_no_lock(server, address):
    with connected(address) as lost, alone(lost, "ours", NAME):
        server.cut()
        with connected(address) as other:
            taken_soon(other, NAME)


def test_who_is_silent_loses_the_lock_and_who_is_not_keeps_it(address, connection, monkeypatch):
    """As does a machine that is switched off: its connection is open at the other end for hours."""
    monkeypatch.setattr(lock, "_HOLD", lock._HOLD.replace("timeout 60", "timeout 3"))
    monkeypatch.setattr(lock, "_BEAT_S", 0.2)
    with connected(address) as other, alone(connection, "ours", NAME):
        time.sleep(4)
        with pytest.raises(DeviceError, match="another deploy of"):
            alone(other, "ours", NAME).__enter__()
        monkeypatch.setattr(lock, "_BEAT_S", 600)
        with alone(connection, "ours", "silent"):
            taken_soon(other, "silent")


def test_a_lock_whose_file_was_taken_away_meanwhile_is_none(connection, home):
    """Between opening and locking, a holder that ends may take away the file that was opened."""
    tools = home / "tools"
    tools.mkdir()
    real = shutil.which("flock", path=os.defpath)
    late = f'[ -e "{home}/late" ] || {{ touch "{home}/late"; rm -f {home}/ours/.x.lock; }}'
    (tools / "flock").write_text(f'#!/bin/sh\n{late}\nexec {real} "$@"\n')
    (tools / "flock").chmod(0o755)
    (home / ".bashrc").write_text(f"PATH={tools}:$PATH\n")
    with alone(connection, "ours", "x"):
        assert (home / "late").exists()
        held = subprocess.run([real, "-n", str(home / "ours/.x.lock"), "true"], check=False)
        assert held.returncode == 1


def test_without_flock_there_it_goes_on(sshd, tmp_path, home, tools, helpers):
    with (
        sshd.Sshd(tmp_path / "sshd2", home=home, path=tools()) as server,
        connected(helpers[0](server)) as one,
        connected(helpers[0](server)) as other,
        alone(one, "ours", NAME),
        alone(other, "ours", NAME),
    ):
        pass
    assert list((home / "ours").iterdir()) == []


@pytest.mark.parametrize("sessions", [2, 3])
def test_a_session_too_few_is_told_before_the_work(
    sshd, tmp_path, home, helpers, edgeresnet, sent, bundle, no_benchmark, sessions
):
    settings = (f"MaxSessions {sessions}",)
    with sshd.Sshd(tmp_path / "sshd2", home=home, settings=settings) as server:
        address = helpers[0](server)
        if sessions == 3:
            check_device(address, command=edgeresnet)
            assert sent(bundle, address)
            return
        with pytest.raises(DeviceError, match="no further session") as caught:
            check_device(address, command=edgeresnet)
    assert "3 or more" in caught.value.hint
