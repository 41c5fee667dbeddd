import pytest

from edgeresnet.backends import BACKENDS, get_backend
from edgeresnet.core.errors import MissingBackendError, UsageError


def test_a_name_that_is_nearly_right_is_suggested():
    with pytest.raises(UsageError, match="no backend named 'openvin0'") as caught:
        get_backend("openvin0")
    assert caught.value.hint == "did you mean 'openvino'?"


@pytest.mark.parametrize("name", BACKENDS)
def test_an_absent_package_says_which_pip_line_brings_it(name, monkeypatch):
    monkeypatch.setitem(BACKENDS, name, "no_such_vendor_package")
    with pytest.raises(MissingBackendError) as caught:
        get_backend(name)
    assert caught.value.exit_code == 3
    assert caught.value.hint == f"pip install 'edgeresnet[{name}]'"


def test_a_driver_that_does_not_load_is_told_as_missing(tmp_path, monkeypatch):
    (tmp_path / "broken_vendor.py").write_text("raise OSError('libnv.so: no such file')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(BACKENDS, "openvino", "broken_vendor")
    with pytest.raises(MissingBackendError, match=r"libnv\.so"):
        get_backend("openvino")
