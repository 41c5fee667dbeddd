"""A package is there, or the line that gets it is."""

import pytest

from edgeresnet.doctor import packages
from edgeresnet.doctor.verdict import Verdict


def test_a_runtime_that_loads_tells_its_version():
    check = packages.backend("onnxruntime")
    assert check.verdict is Verdict.OK
    assert check.found[0].isdigit()


def test_a_runtime_that_is_not_installed_comes_with_its_pip_line():
    check = packages.backend("not_a_runtime")
    assert check.found == "not installed"
    assert check.hint == "pip install 'edgeresnet[not_a_runtime]'"


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("import os; os.kill(os.getpid(), 4)", "crashes when loaded (signal 4)"),
        ("import time; time.sleep(60)", "loading takes over"),
        ("raise ImportError('libgomp.so.1: no such file')", "libgomp.so.1"),
    ],
)
def test_a_runtime_that_cannot_be_loaded_does_not_take_the_doctor_along(code, found):
    check = packages.backend("json", code=code, timeout_s=2)
    assert check.verdict is Verdict.MISSING
    assert found in check.found


def test_a_package_without_metadata_counts_as_the_systems():
    assert packages.installed("no-such-distribution", "json") == "from the system"
    assert packages.installed("no-such-distribution", "no_such.module") is None
    assert packages.installed("click", "click")[0].isdigit()


def test_the_base_is_whole_here():
    (check,) = packages.base()
    assert check.verdict is Verdict.OK


def test_what_the_base_lacks_is_one_pip_line(monkeypatch):
    monkeypatch.setattr(packages, "_BASE", {"no-such": "no_such", "click": "click"})
    (check,) = packages.base()
    assert check.verdict is Verdict.MISSING
    assert check.hint == "pip install no-such"
