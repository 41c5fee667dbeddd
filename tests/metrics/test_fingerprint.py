"""A figure says on what machine it was measured."""

import json
import os

import numpy as np

from edgeresnet.metrics.fingerprint import _cpu, fingerprint


def test_it_names_the_machine_and_the_packages():
    found = fingerprint()
    assert found["cpu"]
    assert found["packages"]["numpy"] == np.__version__
    assert 1 <= found["cores"] <= os.cpu_count()
    assert json.loads(json.dumps(found)) == found


def test_a_machine_without_cpuinfo_has_a_name_too(monkeypatch):
    def refuse(*_args, **_kwargs):
        raise FileNotFoundError

    monkeypatch.setattr("edgeresnet.metrics.fingerprint.Path.read_text", refuse)
    name, flags = _cpu()
    assert name
    assert flags == []


def test_arm_and_x86_name_their_flags_differently(monkeypatch):
    texts = {
        "model name\t: Xeon\nflags\t\t: fpu avx2 amx_int8\n\nflags\t\t: none": ("Xeon", "amx_int8"),
        "processor\t: 0\nFeatures\t: fp asimddp\n\nModel\t\t: Raspberry Pi 5": (
            "Raspberry Pi 5",
            "asimddp",
        ),
    }
    for text, (name, flag) in texts.items():
        monkeypatch.setattr(
            "edgeresnet.metrics.fingerprint.Path.read_text", lambda *_a, _t=text, **_k: _t
        )
        found, flags = _cpu()
        assert found == name
        assert flag in flags
