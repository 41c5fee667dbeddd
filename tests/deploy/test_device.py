"""edgeresnet on the other machine: where it is found, and what its ends mean here."""

import json
import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from edgeresnet import __version__
from edgeresnet.core.errors import DeviceError, EdgeError, MissingBackendError
from edgeresnet.core.target import load_target, target_names
from edgeresnet.deploy.device import extra_of
from edgeresnet.deploy.remote import check_device

EXTRAS = Path(__file__).parents[2] / "pyproject.toml"
FIGURES = {
    "compile": {"digest": "x", "golden_error": 0.1},
    "benchmark": {
        "engine": {"latency_ms": {"p50": 1, "p99": 1}},
        "fps": 1,
        "fingerprint": {"cpu": "a", "cores": 1, "system": "b"},
    },
}


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


@pytest.mark.parametrize(("extra", "installed"), [("", ""), ("openvino", "[openvino]")])
def test_edgeresnet_that_is_not_there_is_told_with_how_to_install_it(
    sshd, tmp_path, home, tools, helpers, extra, installed
):
    path = tools(python3='[ "$1" = -c ] && echo @python 3.12')
    with (
        sshd.Sshd(tmp_path / "sshd2", home=home, path=path) as server,
        pytest.raises(MissingBackendError, match="edgeresnet is not installed on") as caught,
    ):
        check_device(helpers[0](server), extra=extra)
    wheel = f"edgeresnet-{__version__}-py3-none-any.whl"
    hint = caught.value.hint
    assert "pip wheel --no-deps -w dist ." in hint
    assert f"dist/{wheel} {server.user}@{server.host}:" in hint
    assert f"pip install './{wheel}{installed}'" in hint
    assert "--system-site-packages" in hint


def test_the_extra_of_every_target_is_one_that_there_is():
    table = EXTRAS.read_text().partition("[project.optional-dependencies]")[2].partition("\n[")[0]
    extras = re.findall(r"^([\w-]+) = ", table, re.MULTILINE)
    targets = [load_target(name) for name in target_names()]
    found = {target.name: extra_of(target.backend, target.options) for target in targets}
    assert set(found.values()) <= {"", *extras}
    assert found["jetson-orin-nano-8gb"] == ""
    assert found["nvidia-rtx"] == "tensorrt-rtx"
    assert found["intel-cpu"] == "openvino"


def test_a_python_that_is_too_old_there_is_told(sshd, tmp_path, home, tools, helpers):
    path = tools(python3='[ "$1" = -c ] && echo @python 3.8')
    with (
        sshd.Sshd(tmp_path / "sshd2", home=home, path=path) as server,
        pytest.raises(MissingBackendError, match=r"its python3 is 3\.8") as caught,
    ):
        check_device(helpers[0](server))
    assert "JetPack 6" in caught.value.hint


def test_a_version_that_is_empty_is_no_edgeresnet(address, home, helpers):
    own = helpers[1](home / "own", 'echo "edgeresnet, version "')
    with pytest.raises(MissingBackendError, match="does not answer as edgeresnet does"):
        check_device(address, command=(str(own),))


def answering(**answers):
    """A shell's words that print these objects for commands, the rest as if all were well."""
    told = {**FIGURES, **answers}
    cases = "".join(f"{k}) echo {shlex.quote(json.dumps(v))};; " for k, v in told.items())
    return (
        f'case $1 in {cases}*) exec {shlex.join((sys.executable, "-m", "edgeresnet"))} "$@";; esac'
    )


@pytest.mark.parametrize(
    ("command", "figures"),
    [
        ("compile", {"golden_error": {}}),
        ("compile", {"golden_error": 10**400}),
        ("compile", {"int8_share": "all"}),
        ("benchmark", {"engine": 3}),
        ("benchmark", {"engine": {"latency_ms": {"p50": None, "p99": 1}}}),
        ("benchmark", {"engine": {"latency_ms": {"p50": 1}}}),
        ("benchmark", {"fps": "fast"}),
        ("benchmark", {"fingerprint": []}),
    ],
)
def test_figures_of_another_shape_are_of_another_version(
    sent, bundle, home, helpers, command, figures
):
    own = helpers[1](home / "own", answering(**{command: {**FIGURES[command], **figures}}))
    with pytest.raises(
        EdgeError, match=f"edgeresnet {command} of version .* tells no figures"
    ) as c:
        sent(bundle, command=(str(own),))
    assert "install the same there" in c.value.hint
    assert (bundle.name in names(home / "edgeresnet")) == (command == "benchmark")


def test_nothing_that_a_device_tells_can_command_a_terminal(sent, bundle, home, helpers):
    evil = {"cpu": "\x1b[2Ja", "cores": 1, "system": "\x9bb", "\x07": ["\x1b]0;c\x07"]}
    own = helpers[1](
        home / "own", answering(benchmark={**FIGURES["benchmark"], "fingerprint": evil})
    )
    report, _ = sent(bundle, command=(str(own),))
    assert report.as_json()["fingerprint"] == {
        "cpu": " [2Ja",
        "cores": 1,
        "system": " b",
        "": [" ]0;c"],
    }
    assert report.speed.machine == " [2Ja, 1 cores,  b"


def test_an_answer_nested_without_end_is_none(sent, bundle, home, helpers):
    deep = "python3 -c \"print('{\\\"a\\\":' + '[' * 200000)\""
    own = helpers[1](
        home / "own", answering().replace("case $1 in", f"case $1 in inspect) {deep};;")
    )
    shutil.copytree(bundle, home / "edgeresnet" / bundle.name)
    with pytest.raises(EdgeError, match="ended with exit code 0: it said nothing"):
        sent(bundle, command=(str(own),))


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
