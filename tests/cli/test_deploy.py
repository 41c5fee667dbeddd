"""``deploy --to``: which options belong together, and the whole way to a device."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgeresnet.core.bundle import read_bundle
from edgeresnet.datasets.procedural.crowds import write_detection_set
from edgeresnet.deploy import stage

TO = ("--to", "nobody@127.0.0.1:1")
WITHIN_S = 60
WRONG = [
    # arguments, in what, in the hint
    (["{bundle}"], "is a bundle already: nothing to do", "--to user@host"),
    (["{bundle}", "--images", "x"], "is a bundle already", "--to user@host"),
    (["{bundle}", *TO, "--images", "x"], "--images cannot change it", "deploy WEIGHTS"),
    (["{bundle}", *TO, "--target", "x", "-o", "y"], "--target, --out cannot change", "deploy"),
    (["{bundle}", *TO, "--size", "224"], "--size cannot change it", "deploy WEIGHTS"),
    (["{bundle}", *TO, "--annotations", "x"], "--annotations cannot change it", "deploy WEIGHTS"),
    (["{bundle}", "--seconds", "3"], "--seconds: of a device, without --to", "--to user@host"),
    (["{weights}", "--port", "3", "--ssh-option", "x=y"], "--port, --ssh-option: of", "--to"),
    (["{weights}", *TO, "--target", "generic-cpu"], "--images", "edgeresnet deploy --help"),
    (["{weights}", *TO, "--images", "x"], "--target", "edgeresnet deploy --help"),
    (["{weights}", *TO, "--images", "x", "--target", "cpux"], "no target named 'cpux'", "known"),
    (["{bundle}", "--to", "-oProxyCommand=x"], "not the name of a machine", "--to user@host"),
    (["{bundle}", "--to", "a:1", "--port", "2"], "two ports", ""),
    (["{bundle}", *TO, "--remote-command", "'"], "--remote-command: ", ""),
    (["{bundle}", *TO, "--seconds", "0"], "--seconds", "edgeresnet deploy --help"),
    (["{bundle}", *TO, "--report", "{bundle}/manifest.json"], "output exists", "--force"),
]


@pytest.fixture(scope="module")
def sshd(server_module):
    found = server_module("sshd")
    if not found.is_installed():
        pytest.skip(found.ABSENT)
    return found


@pytest.fixture
def server(sshd, tmp_path):
    (tmp_path / "home").mkdir()
    with sshd.Sshd(tmp_path / "sshd", home=tmp_path / "home") as running:
        yield running


@pytest.fixture
def there(server):
    """The options that lead to that server."""
    command = f"'{sys.executable}' -m edgeresnet"
    options = [word for option in server.options for word in ("--ssh-option", option)]
    return ["--to", server.to, *options, "--remote-command", command, "--seconds", "0.1"]


@pytest.mark.parametrize(("arguments", "what", "hint"), WRONG)
def test_options_that_do_not_belong_together_are_told_before_anything_is_done(
    edgeresnet, sample_weights, sample_bundle, arguments, what, hint
):
    places = {"weights": sample_weights, "bundle": sample_bundle}
    told = edgeresnet("deploy", *(argument.format(**places) for argument in arguments))
    assert told.code == 2
    assert what in told.error[0]
    assert hint in told.error[1]


def test_a_device_that_is_not_there_is_told_before_the_work(
    edgeresnet, sshd, sample_weights, few_pictures, tmp_path, monkeypatch
):
    def begun(*_args, **_options):
        raise AssertionError("the work began")

    monkeypatch.setattr(stage, "convert", begun)
    told = edgeresnet(
        *("deploy", sample_weights, "--images", few_pictures, "--target", "generic-cpu"),
        *("--to", f"nobody@127.0.0.1:{sshd.free_port()}", "-o", tmp_path / "b", "--json"),
    )
    assert told.code == 6
    assert told.json["error"]["kind"] == "DeviceError"
    assert "refuses ssh connections" in told.json["error"]["what"]


def test_a_key_that_is_not_known_is_told_with_what_to_do(edgeresnet, server, sample_bundle):
    options = ("--ssh-option", "UserKnownHostsFile=/dev/null", "--port", server.port)
    told = edgeresnet("deploy", sample_bundle, "--to", f"x@{server.host}", *options)
    assert told.code == 6
    assert "is not known here" in told.error[0]
    assert f"-p {server.port} x@{server.host}" in told.error[1]


@pytest.mark.slow
def test_from_weights_to_a_figure_of_the_device(
    edgeresnet, sample_weights, few_pictures, there, tmp_path
):
    told = edgeresnet(
        *("deploy", sample_weights, "--images", few_pictures, "--target", "generic-cpu"),
        *("--max-drop", 100, "-o", tmp_path / "b", *there, "--json"),
        *("--remote-dir", "our bundles", "--report", tmp_path / "report.json", "-q"),
    )
    assert told.code == 0, told.err
    assert told.err == ""
    data = told.json
    assert json.loads((tmp_path / "report.json").read_text()) == data
    copied = read_bundle(tmp_path / "home/our bundles/b")
    assert data["digest"] == data["device"]["digest"] == copied.digest
    assert data["device"]["bundle"] == str(copied.folder)
    assert data["device"]["fps"] > 0
    assert set(data["evidence"]) == {"parity", "training_match", "calibration", "accuracy"}

    person = edgeresnet("deploy", tmp_path / "b", *there, "--remote-dir", "our bundles")
    assert person.code == 0, person.err
    assert "is this bundle already" in person.err
    for word in ("nothing: it was there", "golden check", "products in INT8", "frames/s"):
        assert word in person.out
    assert str(copied.folder) in person.out.replace("\n", "")


@pytest.mark.slow
def test_a_detector_is_judged_by_its_boxes(edgeresnet, sample_weights, tmp_path):
    boxes = write_detection_set(tmp_path, 8, seed=54)
    told = edgeresnet(
        *("deploy", sample_weights.with_name("sample-detector.safetensors")),
        *("--images", tmp_path / "images", "--annotations", boxes, "--target", "generic-cpu"),
        *("--size", 160, "--max-drop", 100, "-o", tmp_path / "b", "--json"),
    )
    assert told.code == 0, told.err
    accuracy = told.json["evidence"]["accuracy"]
    assert (accuracy["metric"], accuracy["pictures"]) == ("mAP@.5", 4)


def test_what_was_made_is_kept_when_the_device_fails(
    edgeresnet, server, there, sample_bundle, sample_weights, monkeypatch
):
    """The stages are stood in for; what follows is real."""

    class Made:
        class compiled:  # noqa: N801  where a report has it
            bundle = read_bundle(sample_bundle)

    monkeypatch.setattr(stage, "deploy", lambda *_args, **_options: Made)
    options = ("--images", "x", "--target", "generic-cpu", "--remote-dir", "/proc/none")
    told = edgeresnet("deploy", sample_weights, *there, *options)
    assert told.code == 6
    assert f"what was made is kept: edgeresnet deploy {sample_bundle} --to" in told.err
    assert "cannot use /proc/none" in told.error[0]


def running(folder):
    """Command lines of processes that name ``folder``, those of ssh and its server left out."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = file.read_text().split("\0")
        except OSError:  # gone meanwhile
            continue
        if any(str(folder) in word for word in words) and words[1:3] == ["-m", "edgeresnet"]:
            found.append(words)
    return found


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_what_was_begun_on_the_device_ends_with_us(
    server, there, sample_bundle, tmp_path, number, code
):
    home = tmp_path / "home"
    command = [sys.executable, "-m", "edgeresnet", "deploy", str(sample_bundle), *there]
    with subprocess.Popen(
        [*command, "--seconds", "600"], stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            told = iter(process.stderr.readline, "")
            assert any(": benchmark" in line for line in told)
            assert len(running(home)) == 1
            process.send_signal(number)
            assert process.wait(WITHIN_S) == code
        finally:
            process.kill()
    until = time.monotonic() + WITHIN_S
    while running(home) and time.monotonic() < until:
        time.sleep(0.1)
    assert running(home) == []
