"""edgeresnet on the other machine: where it is found, and what its ends mean here."""

import json
import shlex

import pytest

from edgeresnet import __version__
from edgeresnet.core.errors import DeviceError, EdgeError, MissingBackendError
from edgeresnet.deploy.remote import check_device


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    "place", ["home/.venv/bin/edgeresnet", "home/edgeresnet/.venv/bin/edgeresnet", "tools"]
)
def test_edgeresnet_is_found_where_it_usually_is(
    sshd, tmp_path, home, tools, helpers, edgeresnet, place
):
    at, program = helpers
    path = tools()
    found = path / "edgeresnet" if place == "tools" else tmp_path / place
    program(found, f'exec {" ".join(edgeresnet)} "$@"')
    told = []
    with sshd.Sshd(tmp_path / "sshd2", home=home, path=path) as server:
        check_device(at(server), tell=told.append)
    assert told == [f"{server.user}@{server.host}: edgeresnet {__version__}, called as {found}"]


def test_edgeresnet_that_is_not_there_is_told_with_how_to_install_it(
    sshd, tmp_path, home, tools, helpers
):
    path = tools(python3='[ "$1" = -c ] && echo @python 3.12')
    with (
        sshd.Sshd(tmp_path / "sshd2", home=home, path=path) as server,
        pytest.raises(MissingBackendError, match="edgeresnet is not installed on") as caught,
    ):
        check_device(helpers[0](server), extra="tensorrt")
    release = ".".join(__version__.split(".")[:2])
    assert f"pip install 'edgeresnet[tensorrt]=={release}.*'" in caught.value.hint
    assert "--system-site-packages" in caught.value.hint
    assert f"{server.user}@{server.host}" in caught.value.hint


def test_a_python_that_is_too_old_there_is_told(sshd, tmp_path, home, tools, helpers):
    path = tools(python3='[ "$1" = -c ] && echo @python 3.8')
    with (
        sshd.Sshd(tmp_path / "sshd2", home=home, path=path) as server,
        pytest.raises(MissingBackendError, match=r"its python3 is 3\.8") as caught,
    ):
        check_device(helpers[0](server))
    assert "JetPack 6" in caught.value.hint


@pytest.mark.parametrize("command", [("/no/such/edgeresnet",), ("/bin/echo", "hello")])
def test_a_command_that_is_not_edgeresnet(address, command):
    with pytest.raises(MissingBackendError, match="does not answer as edgeresnet does") as caught:
        check_device(address, command=command)
    assert f"{' '.join(command)} --version" in caught.value.hint


def test_another_release_there_is_noted(address, home, helpers, edgeresnet, sent, bundle):
    own = helpers[1](home / "old", 'echo "edgeresnet, version 9.8.7"')
    with pytest.raises(EdgeError) as caught:  # it can do nothing else
        sent(bundle, command=("~/old",))
    assert caught.value.exit_code == 1
    told = []
    check_device(address, command=(str(own),), tell=told.append)
    assert told[1].endswith(f"has edgeresnet 9.8.7, here it is {__version__}")


def told_as(kind, what, hint=""):
    """A shell's words for an error with ``--json``."""
    error = {"code": 1, "kind": kind, "what": what, "hint": hint}
    return f"echo {shlex.quote(json.dumps({'error': error}))}; exit 1"


@pytest.mark.parametrize(
    ("end", "family", "what"),
    [
        ("kill -9 $$", DeviceError, "ended by signal 9"),
        ("echo Traceback >&2; echo ValueError: x >&2; exit 1", EdgeError, "code 1: ValueError: x"),
        ("exit 255", EdgeError, "ended with exit code 255: it said nothing"),
        ("echo '{\"some\": 1}'", EdgeError, "tells no digest"),
        (told_as("MissingBackendError", "no TensorRT"), MissingBackendError, "no TensorRT"),
        (told_as("OSError", "no\x1b[2J"), EdgeError, "no [2J"),
    ],
)
def test_the_end_of_a_command_there_is_told_here(
    sent, bundle, home, helpers, edgeresnet, end, family, what
):
    script = f'case $1 in compile) {end};; *) exec {" ".join(edgeresnet)} "$@";; esac'
    own = helpers[1](home / "own", script)
    with pytest.raises(EdgeError) as caught:
        sent(bundle, command=(str(own),))
    assert type(caught.value) is family
    assert caught.value.what.startswith("on ")
    assert what in caught.value.what
    assert bundle.name not in names(home / "edgeresnet")


def test_a_runtime_that_is_missing_there_is_installed_for_the_python_there(
    sent, bundle, home, helpers, edgeresnet
):
    missing = told_as("MissingBackendError", "no openvino", "pip install 'edgeresnet[openvino]'")
    script = f'case $1 in compile) {missing};; *) exec {" ".join(edgeresnet)} "$@";; esac'
    own = helpers[1](home / ".venv/bin/edgeresnet", script)
    with pytest.raises(MissingBackendError) as caught:
        sent(bundle, command=())
    assert f"{own.parent}/python -m pip install 'edgeresnet[openvino]'" in caught.value.hint
