"""A machine to deploy to: this one, behind a real sshd of its own."""

import os
import shutil
import sys

import pytest

from edgeresnet.deploy.address import parse_address
from edgeresnet.deploy.device import Device
from edgeresnet.deploy.remote import deploy_to

SECONDS = 0.1
MACHINE = {"cpu": "one", "cores": 1, "system": "Linux"}

NEEDED = ("cat", "df", "du", "head", "mkdir", "mv", "python3", "rm", "sh", "sleep", "sync", "tail")


@pytest.fixture(scope="session")
def sshd(server_module):
    """The module of the server, where it can run."""
    found = server_module("sshd")
    if not found.is_installed():
        pytest.skip(found.ABSENT)
    return found


@pytest.fixture
def home(tmp_path):
    """The home there."""
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def server(sshd, tmp_path, home):
    """A server that runs."""
    with sshd.Sshd(tmp_path / "sshd", home=home) as running:
        yield running


@pytest.fixture
def address(server):
    """Where that server is."""
    return at(server)


@pytest.fixture
def tools(tmp_path):
    """Makes a folder for ``PATH`` there: the tools that are needed, ``more``, and own scripts."""

    def make(*more, **scripts):
        folder = tmp_path / "tools"
        folder.mkdir()
        for name in {*NEEDED, *more} - set(scripts):
            (folder / name).symlink_to(shutil.which(name, path=os.defpath))
        for name, text in scripts.items():
            program(folder / name, text)
        return folder

    return make


def at(server, *options):
    """The address of ``server``; ``options`` win over its own."""
    return parse_address(server.to, options=(*options, *server.options))


def program(path, text):
    """Write a shell script that can be run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def helpers():
    """The two functions above."""
    return at, program


@pytest.fixture
def edgeresnet():
    """How edgeresnet is called, there as here."""
    return (sys.executable, "-m", "edgeresnet")


@pytest.fixture
def rsync():
    """Skips where it is absent."""
    if shutil.which("rsync") is None:
        pytest.skip("rsync is not installed")


@pytest.fixture
def bundle(sample_bundle, tmp_path):
    """The sample's, under a name that a shell would take apart."""
    return shutil.copytree(sample_bundle, tmp_path / "here/it's [our] $b.bundle")


@pytest.fixture
def sent(address, edgeresnet):
    """Deploys, and says what was told."""

    def send(bundle, to=None, **options):
        told = []
        options = {"command": edgeresnet, "seconds": SECONDS, "tell": told.append, **options}
        return deploy_to(bundle, to or address, **options), told

    return send


@pytest.fixture
def no_benchmark(monkeypatch):
    """Measuring takes seconds, and one test does it; all else is real."""
    call = Device.call

    def quick(self, *arguments, needs=()):
        if arguments[0] == "benchmark":
            return {
                "engine": {"latency_ms": {"p50": 1, "p99": 2}},
                "fps": 1.0,
                "fingerprint": MACHINE,
            }
        return call(self, *arguments, needs=needs)

    monkeypatch.setattr(Device, "call", quick)
