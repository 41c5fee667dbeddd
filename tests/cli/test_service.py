"""``edgeresnet service``: one text on standard output, notes apart, nothing installed."""

import os
import sys

import pytest


@pytest.fixture
def config(tmp_path):
    """A configuration with a secret of each kind, none of which is there."""
    file = tmp_path / "app.toml"
    file.write_text(
        'schema_version = 1\nbundle = "b.bundle"\n'
        '[[source]]\nuri = "rtsp://cam/1"\nauth = "credential:door"\n'
        '[[source]]\nuri = "rtsp://cam/2"\nname = "b"\nauth = "credential:alley"\n'
        '[[source]]\nuri = "rtsp://cam/3"\nname = "c"\nauth = "env:CAM3"\n'
    )
    return file


def values(text, key):
    return [line.partition("=")[2] for line in text.splitlines() if line.startswith(f"{key}=")]


def test_it_prints_a_unit_for_the_configuration(edgeresnet, config):
    told = edgeresnet("service", "--print", "--config", config)
    assert told.code == 0
    (start,) = values(told.out, "ExecStart")
    program, run, path = start.split()
    assert (run, path) == ("run", str(config))
    assert program.endswith("/edgeresnet")
    assert os.access(program, os.X_OK)
    folder = config.parent
    assert values(told.out, "LoadCredential") == [f"alley:{folder}/alley", f"door:{folder}/door"]
    assert f"{config} takes env:CAM3" in told.err
    assert f"does not see {config}" in told.err  # it is in /tmp
    assert "env:CAM3" not in told.out


def test_what_installs_it_says_the_same_options(edgeresnet, config):
    options = ["--config", config, "--user", "cams", "--name", "door", "--gpu"]
    told = edgeresnet("service", "--print", *options, "-q")
    assert told.err == ""
    asked = " ".join(map(str, options))
    assert (
        f"#   edgeresnet service --print {asked} | sudo tee /etc/systemd/system/door.service"
        in (told.out)
    )
    assert "char-nvidia* rw" in values(told.out, "DeviceAllow")
    assert values(told.out, "SupplementaryGroups")[0].split()[0] == "video"


@pytest.mark.parametrize("uri", ["csi://0?fps=30", "gst://csi?sensor=1"])
def test_a_csi_camera_needs_the_gpus_devices_and_the_systems_tmp(edgeresnet, config, uri):
    config.write_text(f'schema_version = 1\nbundle = "b.bundle"\n[[source]]\nuri = "{uri}"\n')
    told = edgeresnet("service", "--print", "--config", config, "--gpu")
    assert values(told.out, "PrivateTmp") == ["no"]
    assert "does not see" not in told.err
    told = edgeresnet("service", "--print", "--config", config)
    assert values(told.out, "PrivateTmp") == ["yes"]
    assert "CSI camera, which a service sees with --gpu only" in told.err


def test_a_configuration_that_is_not_here_is_no_error(edgeresnet, tmp_path):
    told = edgeresnet("service", "--print", "--config", tmp_path / "none.toml")
    assert told.code == 0
    assert "none.toml cannot be read: no LoadCredential=" in told.err
    assert values(told.out, "LoadCredential") == []


def test_a_relative_configuration_is_made_absolute(edgeresnet, config, monkeypatch):
    monkeypatch.chdir(config.parent)
    told = edgeresnet("service", "--print", "--config", "app.toml")
    assert values(told.out, "ExecStart")[0].endswith(f" run {config}")


def test_a_wrong_configuration_is_refused(edgeresnet, config):
    config.write_text(config.read_text().replace("auth", "auht"))
    told = edgeresnet("service", "--print", "--config", config)
    assert told.code == 2
    assert told.out == ""
    assert told.error[1] == "did you mean 'auth'?"


def test_without_print_it_does_nothing(edgeresnet):
    told = edgeresnet("service")
    assert told.code == 2
    assert told.out == ""
    assert "only prints" in told.error[0]
    assert "service --print" in told.error[1]


def test_json_holds_the_very_same_text(edgeresnet, config):
    plain = edgeresnet("service", "--print", "--config", config)
    told = edgeresnet("service", "--print", "--config", config, "--json")
    assert told.json == {"name": "edgeresnet.service", "unit": plain.out}


@pytest.mark.parametrize(
    ("option", "value"), [("--name", "a/b"), ("--user", "a b"), ("--config", "/etc/a\nb.toml")]
)
def test_what_cannot_stand_in_a_unit_is_refused(edgeresnet, option, value):
    told = edgeresnet("service", "--print", option, value, "-q")
    assert told.code == 2
    assert told.out == ""


def test_a_module_that_was_called_is_what_the_unit_calls(edgeresnet, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    told = edgeresnet("service", "--print", "-q")
    assert values(told.out, "ExecStart")[0].startswith(f"{tmp_path}/python -m edgeresnet run ")
